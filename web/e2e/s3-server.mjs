// Real S3 servers on free ports: MinIO and SeaweedFS.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { freePort, root, start, until } from './processes.mjs';

const KEYS = { access: 'tests', secret: 'a-secret-of-the-tests' };
const tools = join(root, '.tools');

function needed(path) {
  if (!path || !existsSync(path)) throw new Error('an S3 server is missing: scripts/install.sh test');
  return path;
}

/** How each is started in a folder, at a port, and where it says that it is ready. */
const KINDS = {
  async minio(folder, port) {
    const found = readdirSync(tools).find((name) => name.startsWith('minio-v'));
    const program = needed(found && join(tools, found));
    const env = { MINIO_ROOT_USER: KEYS.access, MINIO_ROOT_PASSWORD: KEYS.secret, MINIO_BROWSER: 'off', MINIO_UPDATE: 'off' };
    return { process: start(program, ['server', '--address', `127.0.0.1:${port}`, folder], { env, elsewhere: true }), ready: '/minio/health/ready' };
  },
  async seaweedfs(folder, port) {
    const program = needed(join(tools, 'seaweedfs/bin/weed'));
    const credentials = [{ accessKey: KEYS.access, secretKey: KEYS.secret }];
    const config = join(folder, 's3.json');
    writeFileSync(config, JSON.stringify({ identities: [{ name: 'tests', credentials, actions: ['Admin', 'Read', 'List', 'Tagging', 'Write'] }] }));
    mkdirSync(join(folder, 'data'));
    const ports = [];
    for (const name of ['s3.port.grpc', 'master.port', 'master.port.grpc', 'volume.port', 'volume.port.grpc', 'filer.port', 'filer.port.grpc']) {
      ports.push(`-${name}=${await freePort()}`);
    }
    const args = ['server', '-s3', '-ip=127.0.0.1', '-ip.bind=127.0.0.1', '-master.telemetry=false', '-volume.max=100', '-master.volumeSizeLimitMB=64',
      `-dir=${join(folder, 'data')}`, `-s3.config=${config}`, `-s3.port=${port}`, ...ports];
    return { process: start(program, args, { elsewhere: true }), ready: '/status' };
  },
};

/** A running S3 server without a bucket. */
export class S3Server {
  static async start(kind) {
    const made = new S3Server();
    const folder = mkdtempSync(join(tmpdir(), `echosphere-${kind}-`));
    const port = await freePort();
    const { process, ready } = await KINDS[kind](folder, port);
    Object.assign(made, { folder, process, url: `http://127.0.0.1:${port}` });
    await until(kind, async () => (await fetch(made.url + ready)).ok);
    return made;
  }

  /** The settings of an EchoSphere that keeps its objects in a bucket of it. */
  settings(bucket) {
    return {
      ECHOSPHERE_STORAGE_URL: `s3://${bucket}/recordings-of-tests`, ECHOSPHERE_STORAGE_ENDPOINT: this.url,
      ECHOSPHERE_STORAGE_ACCESS_KEY: KEYS.access, ECHOSPHERE_STORAGE_SECRET_KEY: KEYS.secret,
    };
  }

  async stop() {
    await this.process.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
