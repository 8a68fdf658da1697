"""One pass over a film on Ray: its loop, and what that does when something comes or fails."""
