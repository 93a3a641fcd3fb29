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

// load loads a module by its path without an ending; one that is no file is a package's name.
async function load(root, folder, name, endings) {
  for (const ext of endings) {
    const full = path.resolve(root, folder, name + ext);
    if (!fs.statSync(full, { throwIfNoEntry: false })?.isFile()) continue;
    process.argv[1] = full;
    if (ext === '.mjs' || /\b(import|export)\b/.test(fs.readFileSync(full, 'latin1'))) { // else it can be no ES module that exports
      await hook();
      if (ext === '.mjs' || (ext === '.js' && moduleType(path.dirname(full)) === 'module')) return import(pathToFileURL(full).href);
    }
    return createRequire(full)(full);
  }
  let full;
  try { full = require.resolve(name, { paths: [root, path.resolve(root, folder)] }); } catch {
    throw new EntryError('module', `Cannot find module '${path.join(folder, name)}'`);
  }
  return createRequire(full)(full);
}

let hooked = false;

// hook lets ES modules find packages in NODE_PATH, as CommonJS does: the clouds' images have such.
async function hook() {
  if (hooked || !process.env.NODE_PATH) return;
  hooked = true;
  if (Module.registerHooks) Module.registerHooks({ resolve: require('./nodepath.cjs').resolve });
  else if (Module.register) Module.register(pathToFileURL(path.join(__dirname, 'nodepath.cjs')).href);
}

// find resolves "folder/file.export.nested" to a function. endings are those of files, in the order in
// which they are tried.
async function find(root, name, endings) {
  const m = /^(?:(.*)\/)?([^/.]+)\.([^/]+)$/.exec(name);
  if (!m || name.includes('..')) throw new EntryError('malformed', `Bad handler '${name}'`);
  const file = path.resolve(root, m[1] || '', m[2]);
  if (!modules.has(file)) modules.set(file, await load(root, m[1] || '', m[2], endings));
  let owner, value = modules.get(file);
  for (const part of m[3].split('.')) {
    owner = value;
    value = value == null ? undefined : value[part] ?? (value.default && value.default[part]);
  }
  if (typeof value !== 'function') throw new EntryError('export', `${name} is undefined or not exported`);
  return owner === modules.get(file) ? value : value.bind(owner);
}

module.exports = { EntryError, find };
