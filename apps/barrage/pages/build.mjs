// Builds each page by itself into dist/{page}, so that a page can be uploaded alone: everything it
// loads is beside it, under ./assets.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const here = fileURLToPath(new URL('.', import.meta.url));

// Whose code is in a page, beside ours.
const packages = { screen: ['svelte', 'danmaku', 'qrcode', 'dijkstrajs'], player: ['svelte'], admin: ['svelte'] };

function license(name) {
  const dir = `${here}node_modules/${name}/`;
  const file = readdirSync(dir).find((f) => /^licen[cs]e/i.test(f));
  return `${name}\n\n${readFileSync(dir + file, 'utf8').trim()}\n`;
}

for (const page of ['screen', 'player', 'admin']) {
  await build({
    configFile: false,
    root: here + page,
    base: './',
    logLevel: 'warn',
    plugins: [svelte({ configFile: false })],
    build: {
      outDir: here + 'dist/' + page,
      emptyOutDir: true,
      assetsInlineLimit: 0,
      modulePreload: false,
      rollupOptions: {
        output: {
          entryFileNames: 'assets/[name].js',
          chunkFileNames: 'assets/[name].js',
          assetFileNames: 'assets/[name][extname]',
        },
      },
    },
  });
  writeFileSync(`${here}dist/${page}/licenses.txt`, packages[page].map(license).join('\n' + '-'.repeat(72) + '\n\n'));
}
