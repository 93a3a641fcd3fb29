'use strict';
// Looks for syntax errors in the functions that each line of standard input lists as {root, entries}: in the
// files of the folder root that entries names, and in what they require or import by a relative path. Prints
// one JSON line an error, which says of which function it is, and {} when it has looked at all of them.
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const most = 2000; // files; a function with more is not read to its end
const endings = ['', '.js', '.mjs', '.cjs', '/index.js'];
const uses = /(?:\brequire\s*\(|\bimport\s*\(|\bfrom|\bimport)\s*(['"])(\.\.?\/[^'"\n]+)\1/g;
const comments = /\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm;

const isFile = (file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile();
const ours = (root, file) => {
  const rel = path.relative(root, file);
  return !rel.startsWith('..') && !path.isAbsolute(rel) && !rel.split(path.sep).includes('node_modules');
};

// modular is whether the package.json that is nearest says that .js files are modules.
const modular = (root, file) => {
  for (let dir = path.dirname(file); ; dir = path.dirname(dir)) {
    try {
      return JSON.parse(fs.readFileSync(path.join(dir, 'package.json'), 'utf8')).type === 'module';
    } catch (err) {
      if (err.code !== 'ENOENT' || dir === root || dir === path.dirname(dir)) return false;
    }
  }
};

const script = (file, text) => vm.compileFunction(text.replace(/^#!/, '//'), ['exports', 'require', 'module', '__filename', '__dirname'], { filename: file });
const module_ = (file, text) => new vm.SourceTextModule(text, { identifier: file });

const fails = (compile, file, text) => {
  try {
    compile(file, text);
  } catch (err) {
    return err;
  }
};

const check = (root, file, text) => {
  if (file.endsWith('.mjs') || (file.endsWith('.js') && modular(root, file))) return fails(module_, file, text);
  const err = fails(script, file, text);
  if (!err || file.endsWith('.cjs')) return err;
  const other = fails(module_, file, text); // newer Node.js tells modules by how they look
  return other && /\bimport\b|\bexport\b|\bmodule\b|\bawait\b/.test(err.message) ? other : other && err;
};

const look = ({ root, entries: todo }, nth) => {
  const seen = new Set();
  while (todo.length > 0 && seen.size < most) {
    const file = path.resolve(root, todo.pop());
    if (seen.has(file)) continue;
    seen.add(file);
    const text = fs.readFileSync(file, 'utf8');
    const err = check(root, file, text);
    if (err) {
      const line = /:(\d+)$/.exec(String(err.stack).split('\n')[0]);
      console.log(JSON.stringify({ function: nth, file: path.relative(root, file), line: line ? Number(line[1]) : 0, text: `${err.name}: ${err.message}` }));
      continue;
    }
    for (const [, , to] of text.replace(comments, '').matchAll(uses)) {
      const found = endings.map((e) => path.resolve(path.dirname(file), to) + e).find(isFile);
      if (found && /\.[mc]?js$/.test(found) && ours(root, found)) todo.push(found);
    }
  }
};

require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
  JSON.parse(line).forEach(look);
  console.log('{}');
});
