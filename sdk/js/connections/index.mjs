// A client of sluice's extensions to the management API of WebSocket APIs. index.d.ts says what its
// parts promise. It needs Node 18 and nothing else.
import { createHash, createHmac } from 'node:crypto';

// The most connections of one call; sendMany makes several when there are more.
const MAX_IDS = 10_000;

export class ConnectionsError extends Error {
  constructor(status, name, message) {
    super(message || name || `status ${status}`);
    this.status = status;
    this.name = name || 'ConnectionsError';
  }
}

export class Connections {
  #endpoint;
  #region;
  #credentials;

  constructor({ endpoint, region, credentials } = {}) {
    const env = process.env;
    const address = endpoint || env.AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI || env.AWS_ENDPOINT_URL;
    if (!address) throw new TypeError('no endpoint, neither given nor in AWS_ENDPOINT_URL');
    this.#endpoint = address.replace(/\/+$/, '');
    this.#region = region || env.AWS_REGION || env.AWS_DEFAULT_REGION || 'us-east-1';
    this.#credentials = credentials || {
      accessKeyId: env.AWS_ACCESS_KEY_ID,
      secretAccessKey: env.AWS_SECRET_ACCESS_KEY,
      sessionToken: env.AWS_SESSION_TOKEN,
    };
    if (!this.#credentials.accessKeyId || !this.#credentials.secretAccessKey) {
      throw new TypeError('no credentials, neither given nor in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY');
    }
  }

  async send(id, data) {
    await this.#call('POST', ['@connections', id], data);
  }

  async close(id) {
    await this.#call('DELETE', ['@connections', id]);
  }

  async sendMany(ids, data) {
    const list = [...ids];
    const all = { sent: 0, gone: [], failed: [] };
    const message = typeof data === 'string' ? { data } : { dataBase64: Buffer.from(data).toString('base64') };
    for (let i = 0; i < list.length; i += MAX_IDS) {
      const body = JSON.stringify({ connectionIds: list.slice(i, i + MAX_IDS), ...message });
      const one = await this.#call('POST', ['@connections'], body);
      all.sent += one.sent;
      all.gone.push(...one.gone);
      all.failed.push(...one.failed);
    }
    return all;
  }

  async join(group, id) {
    await this.#call('PUT', ['@groups', group, id]);
  }

  async leave(group, id) {
    await this.#call('DELETE', ['@groups', group, id]);
  }

  async sendGroup(group, data, { except = [] } = {}) {
    const headers = except.length ? { 'x-sluice-except': except.join(',') } : {};
    return (await this.#call('POST', ['@groups', group], data, headers)).sent;
  }

  async groupSize(group) {
    return (await this.#call('GET', ['@groups', group])).size;
  }

  // Makes one signed call; resolves to the JSON of its answer, or undefined when that has no body.
  async #call(method, path, data = '', headers = {}) {
    const body = Buffer.from(data);
    const url = new URL([this.#endpoint, ...path.map(escape)].join('/'));
    const res = await fetch(url, {
      method,
      headers: { ...headers, ...this.#sign(method, url, body) },
      body: method === 'GET' ? undefined : body,
    });
    const text = await res.text();
    if (!res.ok) {
      let message;
      try {
        message = JSON.parse(text).message;
      } catch {} // an answer may have no body
      throw new ConnectionsError(res.status, res.headers.get('x-amzn-errortype'), message);
    }
    return text ? JSON.parse(text) : undefined;
  }

  // The headers of Signature Version 4 for the service execute-api.
  #sign(method, url, body) {
    const { accessKeyId, secretAccessKey, sessionToken } = this.#credentials;
    const date = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
    const hash = sha256(body);
    const headers = { host: url.host, 'x-amz-content-sha256': hash, 'x-amz-date': date };
    if (sessionToken) headers['x-amz-security-token'] = sessionToken;
    const names = Object.keys(headers).join(';');
    const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`).join('');
    // The path is escaped once more than on the wire.
    const signedPath = url.pathname.split('/').map(escape).join('/');
    const scope = [date.slice(0, 8), this.#region, 'execute-api', 'aws4_request'];
    const canonical = [method, signedPath, '', lines, names, hash].join('\n');
    const text = ['AWS4-HMAC-SHA256', date, scope.join('/'), sha256(canonical)].join('\n');
    const key = scope.reduce((k, part) => hmac(k, part), `AWS4${secretAccessKey}`);
    const signature = hmac(key, text).toString('hex');
    delete headers.host; // fetch sends it
    return {
      ...headers,
      authorization: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope.join('/')}, SignedHeaders=${names}, Signature=${signature}`,
    };
  }
}

const sha256 = (data) => createHash('sha256').update(data).digest('hex');
const hmac = (key, data) => createHmac('sha256', key).update(data).digest();

// A segment of a path with all but letters, digits and -_.~ as %XX.
function escape(s) {
  return encodeURIComponent(s).replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());
}
