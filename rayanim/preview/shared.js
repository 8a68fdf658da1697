// What both pages do.
const $ = (id) => document.getElementById(id);

function showPlaying(isPlaying) {
  $("play").querySelector("path").setAttribute("d", isPlaying ? "M3 1h4v14H3zM9 1h4v14H9z" : "M3 1v14l11-7z");
  $("play").setAttribute("aria-label", isPlaying ? "Pause" : "Play");
}
function showPairs(list, found) {
  list.replaceChildren(...found.flatMap(([name, value]) => {
    const pair = [document.createElement("dt"), document.createElement("dd")];
    pair[0].textContent = name; pair[1].textContent = value;
    return pair;
  }));
}
function showError(text, trace) {
  const [line, pre] = $("error").children;
  line.textContent = text;
  pre.textContent = trace;
  pre.hidden = !trace;
  $("error").hidden = false;
}
// An empty canvas in the pixels of the screen, of which one of CSS has `ratio`.
function cleared(canvas) {
  const ratio = devicePixelRatio || 1, style = getComputedStyle(document.body);
  const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  return {context, width, height, ratio, color: (name) => style.getPropertyValue(name)};
}
function redrawWith(draw) {
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}
// Have the pointer on a bar, the slider below it and keys go to frames.
function takeInput(bar, count, go, keys, isOff) {
  $("scrub").oninput = (event) => go(Number(event.target.value));
  bar.onpointerdown = (event) => {
    const box = event.target.getBoundingClientRect();
    go(Math.floor((event.clientX - box.left) / box.width * count()));
  };
  document.addEventListener("keydown", (event) => {
    const isOnButton = event.target.tagName === "BUTTON" && event.key === " ";
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || isOnButton || !act || isOff(event)) return;
    event.preventDefault();
    act(event.shiftKey);
  });
}
