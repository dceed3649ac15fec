// Types of the vendored file, for tsc only.
export { default } from 'hls.js';
export * from 'hls.js';
