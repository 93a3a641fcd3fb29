'use strict';
// The handler behind the websocket component. The user's file calls the global on(route, handler); it is
// run anew for every event, while what it keeps in global stays.
const path = require('path');
const transport = { 'http:': require('http'), 'https:': require('https') };

const actions = { connecting: 'connect', 'data send': 'message', 'data recv': 'message', closing: 'disconnect' };
const routes = ['connect', 'disconnect', 'message', 'default'];

function post(body) {
  return new Promise((resolve, reject) => {
    const url = new URL(process.env.wsBackUrl);
    const text = JSON.stringify(body);
    const request = transport[url.protocol].request(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) },
    }, (answer) => {
      let got = '';
      answer.setEncoding('utf8');
      answer.on('data', (part) => { got += part; });
      answer.on('end', () => {
        try { resolve(JSON.parse(got)); } catch (e) { resolve(got); }
      });
    });
    request.on('error', reject);
    request.end(text);
  });
}

function read(data) {
  if (data === undefined) return null;
  try { return JSON.parse(data); } catch (e) { return data; }
}

exports.main_handler = async (event) => {
  const { action, secConnectionID } = event.websocket || {};
  const handlers = {};
  global.on = (route, handler) => {
    if (!routes.includes(route)) throw new Error(`Unknow event: ${route}`);
    handlers[route] = handler;
  };
  const file = require.resolve(path.resolve(__dirname, process.env.SLS_ENTRY_FILE || 'sls.js'));
  delete require.cache[file];
  require(file);
  const route = actions[action] || 'default';
  const socket = {
    id: secConnectionID,
    event,
    send: (data, id) => post({
      websocket: {
        action: 'data send', secConnectionID: id || secConnectionID, dataType: 'text',
        data: typeof data === 'string' ? data : JSON.stringify(data),
      },
    }),
  };
  const data = route === 'message' ? read(event.websocket.data) : null;
  const result = handlers[route] ? await handlers[route](data, socket) : undefined;
  return { errNo: 0, errMsg: 'ok', data: result, websocket: { action, secConnectionID } };
};
