// What a video in a notebook does once its length is known: a bar that steps by frames comes
// below it. `this` is the <video>; the code stands in its attribute, so several videos do not
// meet, and where scripts are stripped the plain video stays.
const video = this, { frames, step, starts } = video.dataset;
video.onloadedmetadata = null;
const times = starts ? JSON.parse(starts) : Array.from({ length: frames }, (_, i) => i * step);
const last = times.length - 1;
const make = (name, values) => Object.assign(document.createElement(name), values);
let at = 0;
const slider = make('input', { type: 'range', min: 0, max: last, value: 0, title: 'Frame' });
const label = make('span', {});
const show = number => {
  slider.value = at = number;
  label.textContent = `${at} / ${last}, ${times[at].toFixed(2)} s`;
};
const go = number => {
  const next = Math.max(0, Math.min(last, number));
  const end = next < last ? times[next + 1] : video.duration;
  video.pause();
  video.loop = false; // Chromium may take the last frame for the end, and begin again
  video.currentTime = times[next] + Math.min(0.005, (end - times[next]) / 2);
  show(next);
};
const look = seconds => {
  if (!video.seeking) show(Math.max(0, times.findLastIndex(time => time <= seconds + 0.001)));
};
const button = (text, title, by) =>
  make('button', { type: 'button', textContent: text, title, onclick: () => go(at + by) });
slider.oninput = () => go(+slider.value);
slider.style.cssText = 'flex: 1; min-width: 4em';
label.style.cssText = 'font-variant-numeric: tabular-nums; white-space: nowrap';
const bar = make('div', { onkeydown: event => event.stopPropagation() });
bar.style.cssText = `display: flex; gap: .5em; align-items: center; width: ${video.width}px;
  min-width: min(18em, 100%); max-width: 100%; font: 13px system-ui, sans-serif; margin: .3em 0`;
bar.append(button('\u2039', 'Previous frame', -1), slider, button('\u203a', 'Next frame', 1), label);
video.after(bar);
video.onplay = () => { video.loop = true; };
video.onseeked = () => look(video.currentTime);
if (video.requestVideoFrameCallback) {
  const presented = (_, frame) => {
    look(video.paused ? video.currentTime : frame.mediaTime); // a frame may come after a seek
    video.requestVideoFrameCallback(presented);
  };
  video.requestVideoFrameCallback(presented);
} else {
  video.ontimeupdate = () => look(video.currentTime);
}
show(0);
