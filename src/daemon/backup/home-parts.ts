// The parts of a home as a backup has them: read as what they say, and sealed and encrypted again with keys of the home in
// which they are written.
import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { keepPrivateFile, readIfPresent } from "../../runtime/files/durable-file.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { SECRET_NAME } from "../../runtime/text/name-forms.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";
import { systemClock as clock } from "../../runtime/time/clock.ts";
import { ENCRYPTION_KEY, openEncryptedFiles } from "../../secrets/encrypted-files.ts";
import { asRestored, openSealedFile } from "../../secrets/sealed-file.ts";
import type { SecretStore } from "../../secrets/secret-store.ts";
import type { Keyring } from "../../secrets/system-keyring.ts";
import type { BackedUpAs } from "../home-files.ts";
import { refused } from "./backup-file.ts";

/** How long a keyring may take to answer, ms. */
export const KEYRING_WITHIN_MS = 30_000;
const MOST_READS = 5;
const BETWEEN_READS_MS = 50;
const KEY = /^[0-9a-f]{64}$/;

interface PartsOptions {
  /** The home, or the folder that becomes it. */
  readonly folder: string;
  readonly store: SecretStore;
  /** The keyring with the key of this sealed file; null: it is in the folder. */
  readonly keyringFor: (name: string) => Promise<Keyring | null>;
  readonly signal: AbortSignal;
}

interface Part {
  /** null: it is gone, or can never be read again. */
  read(path: string): Promise<string | Buffer | null>;
  write(path: string, bytes: Buffer): Promise<unknown>;
}

/** All reject with `secret_unavailable`, `backup_refused`, and the system's error. */
export function openParts({
  folder,
  store,
  keyringFor,
  signal,
}: PartsOptions): Readonly<Record<BackedUpAs, Part>> {
  const limits = { deadlineMs: KEYRING_WITHIN_MS, signal };
  const read = (path: string) => readFile(join(folder, path)).catch(recoverFrom("ENOENT", null));
  const write = (path: string, bytes: Buffer) =>
    keepPrivateFile(join(folder, path), bytes, { mode: 0o600, signal });
  const encrypted = (path: string) =>
    openEncryptedFiles({ folder: join(folder, dirname(path)), store, clock });
  const sealed = async (path: string, given: { keyring?: null; firstKey?: string } = {}) => {
    const name = basename(path, ".sealed");
    const keyring = await keyringFor(name);
    return openSealedFile({ home: folder, clock, environment: process.env, name, keyring, ...given });
  };
  return {
    text: { read, write },
    token: {
      async read(path) {
        const { token_sha256 = null, page_port } =
          jsonObject((await readIfPresent(join(folder, path))) ?? "") ?? {};
        return JSON.stringify({ version: "1", token_sha256, sessions: [], links: [], page_port });
      },
      write,
    },
    sealed: {
      async read(path) {
        for (let reads = 1; ; reads += 1) {
          const file = await sealed(path);
          const found = await file.read(limits);
          if (found.state === "never") return null;
          if (found.state === "sound") {
            // Tokens of programs are derived from the key of the grants.
            const key = path === "grants.sealed" ? await file.key(limits, false) : null;
            return JSON.stringify({ ...found, key });
          }
          if (reads === MOST_READS || found.state === "unverifiable")
            throw new MountaineerError("secret_unavailable", `the seal of ${file.path} cannot be checked`, {
              hint: found.state === "missing" ? "the file is gone" : found.reason,
              retry: "later",
            });
          // A newer content was sealed after the file was read.
          await clock.sleep(BETWEEN_READS_MS, signal);
        }
      },
      async write(path, bytes) {
        const { value, remark, key } = sealedValue(bytes);
        const isOfGrants = key !== null && path === "grants.sealed";
        const file = await sealed(path, isOfGrants ? { keyring: null, firstKey: key } : {});
        await file.write(value, limits, asRestored(remark));
      },
    },
    secrets: {
      async read() {
        const values: [string, string][] = [];
        for (const { name } of await store.list()) {
          const value = await store.get(name, limits);
          if (value !== null && name !== ENCRYPTION_KEY) values.push([name, value]);
        }
        return JSON.stringify(values);
      },
      async write(_, bytes) {
        for (const [name, value] of secretsIn(bytes)) await store.set(name, value, null, signal);
      },
    },
    encrypted: {
      read: (path) => encrypted(path).read(basename(path, ".json"), signal).catch(recoverFrom(isLost, null)),
      write: (path, bytes) => encrypted(path).write(basename(path, ".json"), bytes.toString(), signal),
    },
  };
}

function isLost(error: unknown): boolean {
  return error instanceof MountaineerError && error.retry === "never";
}

/** What a sealed file said. Throws `backup_refused`. */
export function sealedValue(bytes: Buffer) {
  const found = jsonObject(bytes.toString()) ?? {};
  const { value, key = null } = found;
  const remark = found["note"];
  if (typeof remark === "string" && (key === null || (typeof key === "string" && KEY.test(key))))
    return { value, remark, key };
  throw refused("it is foreign: a sealed file is not understood");
}

/** The stored secrets of a backup. Throws `backup_refused`. */
export function secretsIn(bytes: Buffer | undefined): readonly (readonly [name: string, value: string])[] {
  const found: unknown = bytes === undefined ? [] : parseJson(bytes.toString());
  // The keys of this home have other names, or that of the encryption key: a backup sets none of them.
  const isSecret = (one: unknown): one is [string, string] => {
    if (!Array.isArray(one) || one.length !== 2 || typeof one[1] !== "string") return false;
    return typeof one[0] === "string" && SECRET_NAME.form.test(one[0]) && one[0] !== ENCRYPTION_KEY;
  };
  if (Array.isArray(found) && found.every(isSecret)) return found;
  throw refused("it is foreign: its secrets are not understood");
}
