'use strict';
// Finds a handler in the user's code: "folder/file.export.nested".
const fs = require('fs');
const path = require('path');
const { Module, createRequire } = require('module');
const { pathToFileURL } = require('url');

// EntryError says that a handler is not there: why is malformed, module or export.
class EntryError extends Error {
  constructor(why, message) { super(message); this.why = why; }
}

// moduleType is the "type" of the nearest package.json.
function moduleType(dir) {
  for (;;) {
    try { return JSON.parse(fs.readFileSync(path.join(dir, 'package.json'), 'utf8')).type || 'commonjs'; } catch { /* go up */ }
    const up = path.dirname(dir);
    if (up === dir || dir.endsWith('/node_modules')) return 'commonjs';
    dir = up;
  }
}

const modules = new Map();

async function load(root, file) {
  for (const ext of ['.js', '.cjs', '.mjs', '']) {
    const full = file + ext;
    if (!fs.existsSync(full) || !fs.statSync(full).isFile()) continue;
    process.argv[1] = full;
    if (ext === '.mjs' || (ext === '.js' && moduleType(path.dirname(full)) === 'module')) {
      if (process.env.NODE_PATH && Module.register) Module.register('data:text/javascript,' + encodeURIComponent(RESOLVE));
      return import(pathToFileURL(full).href);
    }
    return createRequire(full)(full);
  }
  throw new EntryError('module', `Cannot find module '${path.relative(root, file)}'`);
}

// RESOLVE lets ES modules find packages in NODE_PATH, as CommonJS does: the clouds' images have such.
const RESOLVE = `import { pathToFileURL } from 'node:url';
export async function resolve(name, context, next) {
  try { return await next(name, context); } catch (err) {
    if (err.code !== 'ERR_MODULE_NOT_FOUND' || /^[./]|^\\w+:/.test(name)) throw err;
    for (const dir of process.env.NODE_PATH.split(':').filter(Boolean)) {
      try { return await next(name, { ...context, parentURL: pathToFileURL(dir + '/../index.js').href }); } catch {}
    }
    throw err;
  }
}`;

// find resolves "folder/file.export.nested" to a function.
async function find(root, name) {
  const m = /^(?:(.*)\/)?([^/.]+)\.([^/]+)$/.exec(name);
  if (!m || name.includes('..')) throw new EntryError('malformed', `Bad handler '${name}'`);
  const file = path.resolve(root, m[1] || '', m[2]);
  if (!modules.has(file)) modules.set(file, await load(root, file));
  let owner, value = modules.get(file);
  for (const part of m[3].split('.')) {
    owner = value;
    value = value == null ? undefined : value[part] ?? (value.default && value.default[part]);
  }
  if (typeof value !== 'function') throw new EntryError('export', `${name} is undefined or not exported`);
  return owner === modules.get(file) ? value : value.bind(owner);
}

module.exports = { EntryError, find };
