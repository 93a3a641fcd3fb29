'use strict';
// A hook of node's module loader: names that it cannot find are looked for in the folders of NODE_PATH.
const path = require('path');
const { createRequire } = require('module');
const { pathToFileURL } = require('url');

// elsewhere lists ways to find a name that is a package's: each is the arguments for next.
function elsewhere(err, name, context) {
  if (err.code !== 'ERR_MODULE_NOT_FOUND' || /^[./]|^\w+:/.test(name)) return [];
  const ways = [];
  for (const dir of (process.env.NODE_PATH || '').split(path.delimiter).filter(Boolean)) {
    ways.push([name, { ...context, parentURL: pathToFileURL(path.join(dir, '..', 'index.js')).href }]);
    try { ways.push([pathToFileURL(createRequire(path.join(dir, 'index.js')).resolve('./' + name)).href, context]); } catch { /* not there */ }
  }
  return ways;
}

// resolve is for node that runs hooks beside the code (registerHooks) and for node that runs them in a
// thread of their own (register), which waits for promises.
exports.resolve = (name, context, next) => {
  let found;
  try { found = next(name, context); } catch (err) { return others(err); }
  return typeof found.then === 'function' ? found.catch(later) : found;

  function others(err) {
    for (const way of elsewhere(err, name, context)) {
      try { return next(...way); } catch { /* the next one */ }
    }
    throw err;
  }
  async function later(err) {
    for (const way of elsewhere(err, name, context)) {
      try { return await next(...way); } catch { /* the next one */ }
    }
    throw err;
  }
};
