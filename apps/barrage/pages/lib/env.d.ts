/// <reference types="svelte" />
declare module '*.css';
declare module 'danmaku/dist/esm/danmaku.canvas.js';
declare module 'qrcode';
