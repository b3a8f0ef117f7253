import { svelte } from '@sveltejs/vite-plugin-svelte';
import tailwindcss from '@tailwindcss/vite';
import { defineConfig } from 'vite';

// The output folder is the build's, given by scripts/web.sh; the server embeds what lies there.
export default defineConfig({
  plugins: [tailwindcss(), svelte()],
  build: {
    outDir: process.env.PLUVIO_WEB_OUT ?? '../build/web/dist',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0, // nothing inline: the content security policy allows files of this server alone
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
});
