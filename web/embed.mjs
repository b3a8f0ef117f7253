// Makes what pluviod embeds of the built files: web.S with their bytes, web_pages.c with the table that rest.h describes.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';

const [from, to] = process.argv.slice(2).map((p) => resolve(p));
const types = {
  html: 'text/html; charset=utf-8', css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8', svg: 'image/svg+xml', woff2: 'font/woff2',
};
const packed = join(to, 'packed');
rmSync(packed, { recursive: true, force: true });
mkdirSync(packed);

let assembly = '        .section .rodata\n', externs = '';
const rows = [];
const label = (name, file) => {
  assembly += `        .global ${name}, ${name}_end\n${name}:\n        .incbin "${file}"\n${name}_end:\n        .byte 0\n`;
  externs += `extern const uint8_t ${name}[], ${name}_end[];\n`;
};
const files = readdirSync(from, { recursive: true, withFileTypes: true }).filter((f) => f.isFile()).map((f) => join(f.parentPath ?? f.path, f.name)).sort();
files.forEach((file, i) => {
  const bytes = readFileSync(file);
  const path = file.slice(from.length).replaceAll('\\', '/');
  const extension = path.split('.').pop();
  if (!types[extension]) throw new Error(`${path}: of what type is it?`);
  const small = gzipSync(bytes, { level: 9 });
  const gains = small.length < bytes.length * 0.95;
  label(`web_${i}`, file);
  if (gains) {
    writeFileSync(join(packed, `${i}.gz`), small);
    label(`web_${i}_gz`, join(packed, `${i}.gz`));
  }
  const etag = createHash('sha256').update(bytes).digest('hex').slice(0, 32);
  const isNamed = path.startsWith('/assets/'); // by what it holds: it never changes
  const row = (at) => `    {"${at}", "${types[extension]}", "${etag}", ${isNamed}, web_${i}, web_${i}_end, ${gains ? `web_${i}_gz, web_${i}_gz_end` : 'NULL, NULL'}},\n`;
  rows.push(row(path));
  if (path === '/index.html') rows.push(row('/'));
});
assembly += '        .section .note.GNU-stack,"",%progbits\n';
writeFileSync(join(to, 'web.S'), assembly);
writeFileSync(join(to, 'web_pages.c'), `#include "rest/rest.h"\n${externs}extern const struct web_page web_pages[];\nconst struct web_page web_pages[] = {\n${rows.join('')}    {NULL, NULL, NULL, false, NULL, NULL, NULL, NULL},\n};\n`);
