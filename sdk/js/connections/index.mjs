// A client of sluice's extensions to the management API of WebSocket APIs: one message to many connections,
// and groups of connections. It speaks the rest of the API, too, so that a function needs no other client.
// It needs Node 18 and nothing else. index.mjs and index.d.mts are made from this file: npm run build.
import { createHash, createHmac } from 'node:crypto';
/** An answer that is not a success. `name` is the code: GoneException, LimitExceededException … */
export class ConnectionsError extends Error {
    status;
    constructor(status, name, message) {
        super(message || name || `status ${status}`);
        this.status = status;
        this.name = name || 'ConnectionsError';
    }
}
/** The most connections of one call; sendMany makes several when there are more. */
const MAX_IDS = 10_000;
/** A client of the management API of one stage, with sluice's extensions: many connections in one call, and groups. */
export class Connections {
    #endpoint;
    #region;
    #credentials;
    constructor({ endpoint, region, credentials } = {}) {
        const env = process.env;
        const address = endpoint || env.AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI || env.AWS_ENDPOINT_URL;
        if (!address)
            throw new TypeError('no endpoint, neither given nor in AWS_ENDPOINT_URL');
        this.#endpoint = address.replace(/\/+$/, '');
        this.#region = region || env.AWS_REGION || env.AWS_DEFAULT_REGION || 'us-east-1';
        this.#credentials = credentials || {
            accessKeyId: env.AWS_ACCESS_KEY_ID ?? '',
            secretAccessKey: env.AWS_SECRET_ACCESS_KEY ?? '',
            sessionToken: env.AWS_SESSION_TOKEN,
        };
        if (!this.#credentials.accessKeyId || !this.#credentials.secretAccessKey) {
            throw new TypeError('no credentials, neither given nor in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY');
        }
    }
    /** Sends to one connection. */
    async send(id, data) {
        await this.#call('POST', ['@connections', id], data);
    }
    /** Closes a connection. */
    async close(id) {
        await this.#call('DELETE', ['@connections', id]);
    }
    /** Sends one message to many connections. */
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
    /** Takes a connection into a group of this stage; it leaves when it closes. */
    async join(group, id) {
        await this.#call('PUT', ['@groups', group, id]);
    }
    /** Takes a connection out of a group. */
    async leave(group, id) {
        await this.#call('DELETE', ['@groups', group, id]);
    }
    /** Sends to all members of a group, save some; resolves to how many. */
    async sendGroup(group, data, { except = [] } = {}) {
        const headers = except.length ? { 'x-sluice-except': except.join(',') } : {};
        return (await this.#call('POST', ['@groups', group], data, headers)).sent;
    }
    /** Counts the members of a group. */
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
            }
            catch { } // an answer may have no body
            throw new ConnectionsError(res.status, res.headers.get('x-amzn-errortype'), message);
        }
        return text ? JSON.parse(text) : undefined;
    }
    // The headers of Signature Version 4 for the service execute-api.
    #sign(method, url, body) {
        const { accessKeyId, secretAccessKey, sessionToken } = this.#credentials;
        const date = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
        const hash = sha256(body);
        const headers = { 'x-amz-content-sha256': hash, 'x-amz-date': date };
        if (sessionToken)
            headers['x-amz-security-token'] = sessionToken;
        const signed = Object.entries({ host: url.host, ...headers }); // fetch sends the host by itself
        const names = signed.map(([name]) => name).join(';');
        const lines = signed.map(([name, value]) => `${name}:${value}\n`).join('');
        // The path is escaped once more than on the wire.
        const signedPath = url.pathname.split('/').map(escape).join('/');
        const scope = [date.slice(0, 8), this.#region, 'execute-api', 'aws4_request'];
        const canonical = [method, signedPath, '', lines, names, hash].join('\n');
        const text = ['AWS4-HMAC-SHA256', date, scope.join('/'), sha256(canonical)].join('\n');
        const key = scope.reduce((k, part) => hmac(k, part), `AWS4${secretAccessKey}`);
        const signature = hmac(key, text).toString('hex');
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
