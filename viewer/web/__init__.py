"""The browser's part of the viewer: TypeScript in `src`, what it is built into in `dist`."""
