// A bucket of an S3 server as its owner sees it: lists, reads, writes and deletes what a test asks for. Its requests are signed here (AWS
// Signature Version 4), with nothing of EchoSphere's own code.

import { createHash, createHmac } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const UNSIGNED = 'UNSIGNED-PAYLOAD';

const hmac = (key, text) => createHmac('sha256', key).update(text).digest();
const sha256 = (text) => createHash('sha256').update(text).digest('hex');
/** Percent-encoded as a signature wants it: all but letters, digits and `-._~`. */
const encoded = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
const elements = (text, name) => [...text.matchAll(new RegExp(`<${name}>(.*?)</${name}>`, 'gs'))].map(([, content]) => content);

export class Bucket {
  /** The bucket, or the folder in one, that these settings of EchoSphere name; nothing when they name none. */
  static of(settings) {
    const [, name, prefix] = settings.ECHOSPHERE_STORAGE_URL?.match(/^s3:\/\/([^/]+)\/?(.*)$/) ?? [];
    return name && Object.assign(new Bucket(), {
      name,
      prefix: prefix ? `${prefix}/` : '',
      endpoint: settings.ECHOSPHERE_STORAGE_ENDPOINT,
      access: settings.ECHOSPHERE_STORAGE_ACCESS_KEY,
      secret: settings.ECHOSPHERE_STORAGE_SECRET_KEY,
      region: settings.ECHOSPHERE_STORAGE_REGION ?? 'ap-northeast-1',
      /** What was copied to a folder, by its key: its ETag. */
      copied: new Map(),
    });
  }

  /** Asks the server about the bucket, or about an object of it. A failure is an error, but for these statuses. */
  async ask(method, key = '', { query = {}, body = undefined, may = [] } = {}) {
    const path = `/${[this.name, ...key ? key.split('/') : []].map(encoded).join('/')}`;
    const line = Object.entries(query).map(([name, value]) => `${encoded(name)}=${encoded(value)}`).sort().join('&');
    const response = await fetch(`${this.endpoint}${path}?${line}`, { method, body, headers: this.signed(method, path, line) });
    if (!response.ok && !may.includes(response.status)) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response;
  }

  /** The headers of a signed request. */
  signed(method, path, query) {
    const at = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
    const scope = `${at.slice(0, 8)}/${this.region}/s3/aws4_request`;
    const headers = { host: new URL(this.endpoint).host, 'x-amz-content-sha256': UNSIGNED, 'x-amz-date': at };
    const names = Object.keys(headers).join(';');
    const request = [method, path, query, ...Object.entries(headers).map(([name, value]) => `${name}:${value}`), '', names, UNSIGNED].join('\n');
    const key = scope.split('/').reduce(hmac, `AWS4${this.secret}`);
    const signature = hmac(key, ['AWS4-HMAC-SHA256', at, scope, sha256(request)].join('\n')).toString('hex');
    return { ...headers, authorization: `AWS4-HMAC-SHA256 Credential=${this.access}/${scope}, SignedHeaders=${names}, Signature=${signature}` };
  }

  make() {
    return this.ask('PUT');
  }

  /** All objects in the folder: their keys, without the folder's name, and their ETags. */
  async list() {
    const found = [];
    for (let next = ''; next !== undefined;) {
      const query = { 'list-type': '2', prefix: this.prefix, ...next && { 'continuation-token': next } };
      const text = await (await this.ask('GET', '', { query })).text();
      for (const object of elements(text, 'Contents')) {
        const [key, etag] = ['Key', 'ETag'].map((name) => elements(object, name)[0]);
        found.push({ key: key.slice(this.prefix.length), etag });
      }
      [next] = elements(text, 'NextContinuationToken');
    }
    return found;
  }

  remove(key) {
    return this.ask('DELETE', this.prefix + key);
  }

  /** Makes a folder hold what the bucket has at one moment, an object a file. */
  async copyTo(folder) {
    const there = new Map((await this.list()).map(({ key, etag }) => [key, etag]));
    for (const key of [...this.copied.keys()].filter((known) => !there.has(known))) {
      rmSync(join(folder, key), { force: true });
      this.copied.delete(key);
    }
    for (const [key, etag] of there) {
      if (this.copied.get(key) === etag) continue;
      // What has gone may lie elsewhere by now.
      if (!await this.copy(key, folder)) return this.copyTo(folder);
      this.copied.set(key, etag);
    }
  }

  /** Copies an object into a folder; false when it has gone. */
  async copy(key, folder) {
    const response = await this.ask('GET', this.prefix + key, { may: [404] });
    if (response.status === 404) return false;
    mkdirSync(dirname(join(folder, key)), { recursive: true });
    writeFileSync(join(folder, key), Buffer.from(await response.arrayBuffer()));
    return true;
  }
}
