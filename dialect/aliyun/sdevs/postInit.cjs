'use strict';
// Calls preInit and postInit of the hook in the working folder with what the official tool hands it.
const fs = require('fs');
const path = require('path');
const { execFileSync, execSync } = require('child_process');

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

// What the hook makes in the target's folder is laid beside the template when it is done; the template
// itself is ours to fill.
const folder = process.env.SLUICE_FILES;
const target = path.join(folder, 'target-folder');
const beside = path.resolve(fs.readFileSync(path.join(folder, 'target'), 'utf8'));
fs.mkdirSync(target);
const text = fs.readFileSync(path.join(folder, 's.yaml'), 'utf8');
fs.writeFileSync(path.join(target, 's.yaml'), text);
const { preInit, postInit } = require(path.join(process.cwd(), 'index.js'));

const downloadRequest = async (url, dest, options = {}) => {
  const flags = options.extract ? ['--extract'] : [];
  if (options.strip) flags.push('--strip=' + options.strip);
  if (options.filename) flags.push('--filename=' + options.filename);
  execFileSync('s', ['download', url, dest, ...flags], { stdio: 'inherit' });
};

const keep = () => {
  const made = [];
  const walk = (rel) => {
    for (const e of fs.readdirSync(path.join(target, rel), { withFileTypes: true })) {
      const file = path.join(rel, e.name);
      if (file === 's.yaml') continue;
      const to = path.join(beside, file);
      if (e.isDirectory()) {
        fs.mkdirSync(to, { recursive: true });
        walk(file);
      } else {
        made.push(file);
        if (fs.existsSync(to)) continue; // the developer's, or an earlier run's
        fs.copyFileSync(path.join(target, file), to);
      }
    }
  };
  walk('');
  fs.writeFileSync(path.join(folder, 'made.json'), JSON.stringify(made));
  if (fs.readFileSync(path.join(target, 's.yaml'), 'utf8') !== text) console.warn('what postInit wrote into s.yaml is not used; it may return values instead');
};

(async () => {
  const input = {
    tempPath: path.dirname(process.cwd()),
    downloadRequest,
    fse: fs,
    lodash: { get, merge, isEmpty },
    artTemplate: (file) => fs.readFileSync(path.resolve(target, file), 'utf8'),
    Logger: console,
    execCommand: (run) => execSync(run, { stdio: 'inherit' }),
  };
  if (typeof preInit === 'function') await preInit(input);
  if (typeof postInit !== 'function') return;
  const parameters = JSON.parse(fs.readFileSync(path.join(folder, 'parameters.json'), 'utf8')) || {};
  const got = await postInit({ ...input, targetPath: target, parameters });
  keep();
  if (got && typeof got === 'object') fs.writeFileSync(path.join(folder, 'answers.json'), JSON.stringify(got));
})().catch((err) => {
  console.error(err && err.message ? err.message : err);
  process.exit(1);
});
