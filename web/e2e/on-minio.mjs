// Runs end-to-end tests with each EchoSphere on a folder of its own in a bucket of MinIO: `node on-minio.mjs [FILE...]`, all files without any.

import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';

import { Bucket } from './bucket.mjs';
import { root } from './processes.mjs';
import { S3Server } from './s3-server.mjs';

/** What does not run on MinIO, and why. */
const LEFT_OUT = {
  's3.test.mjs': 'it starts S3 servers of its own',
};

const folder = join(root, 'web/e2e');
const named = process.argv.slice(2).map((path) => basename(path));
const all = readdirSync(folder).filter((name) => name.endsWith('.test.mjs') && !(name in LEFT_OUT));
const files = named.length > 0 ? named : all;

const minio = await S3Server.start('minio');
const settings = minio.settings('tests');
await Bucket.of(settings).make();
const args = ['--test', '--test-concurrency=2', '--test-timeout=900000', ...files.map((name) => join(folder, name))];
const { status } = spawnSync(process.execPath, args, { stdio: 'inherit', env: { ...process.env, E2E_S3: JSON.stringify(settings) } });
await minio.stop();
process.exitCode = status ?? 1;
