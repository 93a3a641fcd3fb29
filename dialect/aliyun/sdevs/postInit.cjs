'use strict';
// Calls postInit of the hook in the working folder with what the official tool hands it.
const fs = require('fs');
const path = require('path');
const { execSync } = require('child_process');

const get = (o, keys, otherwise) => {
  for (const k of Array.isArray(keys) ? keys : String(keys).split('.')) o = o == null ? undefined : o[k];
  return o === undefined ? otherwise : o;
};
const merge = (into, ...from) => {
  for (const o of from) {
    for (const k of Object.keys(o || {})) {
      const both = [into[k], o[k]].every((v) => v && typeof v === 'object' && !Array.isArray(v));
      into[k] = both ? merge({ ...into[k] }, o[k]) : o[k];
    }
  }
  return into;
};
const isEmpty = (o) => o == null || (typeof o === 'object' ? Object.keys(o).length === 0 : o === '');

const folder = process.env.SLUICE_FILES;
const { postInit } = require(path.join(process.cwd(), 'index.js'));

(async () => {
  if (typeof postInit !== 'function') return;
  const got = await postInit({
    targetPath: folder,
    tempPath: path.dirname(process.cwd()),
    fse: fs,
    lodash: { get, merge, isEmpty },
    artTemplate: (file) => fs.readFileSync(path.resolve(folder, file), 'utf8'),
    Logger: console,
    execCommand: (run) => execSync(run, { stdio: 'inherit' }),
    parameters: JSON.parse(fs.readFileSync(path.join(folder, 'parameters.json'), 'utf8')) || {},
  });
  if (!isEmpty(got)) console.warn('what postInit returned is not used; give it with --param: ' + Object.keys(got).join(', '));
})().catch((err) => {
  console.error(err && err.message ? err.message : err);
  process.exit(1);
});
