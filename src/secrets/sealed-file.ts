// A durable JSON file of the home with a seal that is checked on reading: it detects changes by other programs, an
// older copy, and a removed file. docs/reference/security.md says which attacks remain.

import { access } from "node:fs/promises";
import { join } from "node:path";
import { errorText, MountaineerError, systemErrorCode, valueOr } from "../runtime/errors.ts";
import { keepPrivateFile, readIfPresent } from "../runtime/files/durable-file.ts";
import { jsonObject } from "../runtime/text/json-object.ts";
import { parseJson } from "../runtime/text/parse-json.ts";
import { createKeyring } from "./keyring.ts";
import { type KeyStorage, openSealingKey, type SealingKey } from "./sealing-key.ts";
import type { Keyring, KeyringLimits, KeyringOptions } from "./system-keyring.ts";

type SealedContent =
  /** This home has never written the file. */
  | { readonly state: "never" }
  | { readonly state: "sound"; readonly value: unknown; readonly note: string }
  /** The file was removed. `remark`: the note about the newest content. */
  | { readonly state: "missing"; readonly note: string }
  /**
   * The file is not the newest content that this home wrote: it was changed, or is an older copy. `remark`: the note
   * about the newest content, "" if unknown; `claimed`: the content of the file, unverified.
   */
  | { readonly state: "unsound"; readonly reason: string; readonly note: string; readonly claimed: unknown }
  /** The keyring with the key does not answer; try again later. */
  | { readonly state: "unverifiable"; readonly reason: string; readonly claimed: unknown };

interface SealedWriteOptions {
  /**
   * False: the serial number stays the same, so that the keyring need not be asked. An older copy of the file then
   * passes the check. Default: true.
   */
  readonly advances?: boolean;
  /** A short text kept with the key, so that it can be read without the file. Default: unchanged. */
  readonly note?: string;
}

/** For the content of another home: the number stays, so that the file of the home before is valid until it is replaced. */
export function asRestored(remark: string): SealedWriteOptions {
  return { advances: false, note: remark };
}

/** Only one process may write the file at a time: the caller must hold the home's lock. */
export type SealedFile = ReturnType<typeof openSealedFile>;

export interface SealedFileOptions extends KeyringOptions {
  /** The name of the file, in lower case: the path is `<home>/NAME.sealed`. */
  readonly name: string;
  /** Default: this machine's. */
  readonly keyring?: Keyring | null;
  /** The key to begin with if there is none, 32 bytes in hexadecimal. Default: a random one. */
  readonly firstKey?: string;
}

interface LoadedKey {
  readonly key: SealingKey;
  readonly storage: KeyStorage;
}

const VERSION = 1;
/** Written to the key's file if the key is in the keyring. */
const IN_KEYRING = '{"key_in":"keyring"}\n';
const ELSEWHERE = "its key is in a keyring that cannot be asked from here, as without a desktop session";

export function openSealedFile(options: SealedFileOptions) {
  const { home, name } = options;
  const path = join(home, `${name}.sealed`);
  const keyring = options.keyring === undefined ? sessionKeyring(options) : options.keyring;
  const keyPath = join(home, `${name}.key`);
  const keys = openSealingKey({ name, path: keyPath, keyring });
  let loaded: LoadedKey | null = null;

  const findKey = async (limits: KeyringLimits): Promise<LoadedKey | null> => {
    const found = await keys.find(limits);
    if (found.kind === "unanswered") throw unanswered(found.reason, "unlock the keyring, and try again");
    // The key is in a keyring that this process cannot ask. No new key may be made now: processes that can
    // ask the keyring would not use it.
    if (found.kind === "none" && !found.hasAnswered && (await isKeyElsewhere(await readIfPresent(path)))) {
      throw unanswered(
        ELSEWHERE,
        `run the command in the session that has the keyring; if that session is gone, remove ${path} and ${keyPath}, and a new file is created`,
      );
    }
    return found.kind === "found" ? { key: found.key, storage: found.storage } : null;
  };

  /**
   * Whether the key is in a keyring, as the file's header says, or without a file, the note in the place of its key. A
   * forged header or note only makes the verification fail.
   */
  const isKeyElsewhere = async (text: string | null): Promise<boolean> =>
    text === null ? isThere(keyPath) : jsonObject(text.split("\n", 1)[0] ?? "")?.["key_in"] === "keyring";

  /** Without the keyring, a file that is removed later must not pass for one that never was. */
  const markKeyring = async (storage: KeyStorage, { signal }: KeyringLimits): Promise<void> => {
    if (storage === "keyring" && !(await isThere(keyPath)))
      await keepPrivateFile(keyPath, IN_KEYRING, { mode: 0o600, signal });
  };

  const makeKey = async (limits: KeyringLimits): Promise<LoadedKey> => {
    const { randomBytes } = process.getBuiltinModule("node:crypto");
    const key = options.firstKey ?? randomBytes(32).toString("hex");
    const fresh: LoadedKey = { key: { key, serial: 0, note: "" }, storage: await keys.storageForNew(limits) };
    await keys.keep(fresh.key, fresh.storage, limits);
    return fresh;
  };

  return {
    /** Absolute. */
    path,
    /** The place of the key; null: not read yet, or there is no key. */
    get keyStorage(): KeyStorage | null {
      return loaded?.storage ?? null;
    },
    /**
     * The key in hexadecimal, to keep what must not be stored as it is. `makes`: makes one if there is none.
     * Null: there is none. Rejects with `secret_unavailable`.
     */
    async key(limits: KeyringLimits, makes: boolean): Promise<string | null> {
      loaded ??= (await findKey(limits)) ?? (makes ? await makeKey(limits) : null);
      return loaded?.key.key ?? null;
    },
    /** Rejects with the system's error where the home cannot be read, and with `aborted`. */
    async read(limits: KeyringLimits): Promise<SealedContent> {
      const [found, text] = await Promise.all([keys.find(limits), readIfPresent(path)]);
      // This content is not verified: callers may use it only to refuse more, never to allow more.
      const claimed = (): unknown => claimedIn(text);
      if (found.kind === "unanswered") {
        const isNew = text === null && (await isBusGone(options.environment)) && !(await isThere(keyPath));
        return isNew
          ? { state: "never" }
          : { state: "unverifiable", reason: found.reason, claimed: claimed() };
      }
      if (found.kind === "none") {
        if (!found.hasAnswered && (await isKeyElsewhere(text)))
          return { state: "unverifiable", reason: ELSEWHERE, claimed: claimed() };
        if (text === null)
          return (await isThere(keyPath)) ? { state: "missing", note: "" } : { state: "never" };
        return {
          state: "unsound",
          reason: "the key that it was sealed with is gone",
          note: "",
          claimed: claimed(),
        };
      }
      loaded = { key: found.key, storage: found.storage };
      const { key, serial, note } = found.key;
      if (text === null) return serial === 0 ? { state: "never" } : { state: "missing", note };
      const opened = openSeal(text, name, key);
      if (typeof opened === "string") return { state: "unsound", reason: opened, note, claimed: claimed() };
      if (opened.serial < serial)
        return { state: "unsound", reason: "it is an older copy", note, claimed: claimed() };
      loaded = { ...loaded, key: { key, serial: opened.serial, note: opened.note } };
      // Homes of earlier versions have no mark. If it cannot be made, reading continues without it.
      await markKeyring(found.storage, limits).catch(() => {});
      return { state: "sound", value: opened.value, note: opened.note };
    },
    /**
     * Writes the content; durable when it resolves. The file is complete at any time. Creates a key if there
     * is none. Rejects with `secret_unavailable`, also when the signal in `limits` aborts (even while the
     * disk is slow); the old content then stays.
     */
    async write(
      value: unknown,
      limits: KeyringLimits,
      { advances = true, note }: SealedWriteOptions = {},
    ): Promise<void> {
      try {
        loaded ??= (await findKey(limits)) ?? (await makeKey(limits));
        const { key, storage } = loaded;
        const next: SealingKey = {
          key: key.key,
          serial: advances ? key.serial + 1 : Math.max(1, key.serial),
          note: note ?? key.note,
        };
        await keepPrivateFile(path, sealed(value, name, next, storage), {
          mode: 0o600,
          signal: limits.signal,
        });
        loaded = { key: next, storage };
        await markKeyring(storage, limits);
        // The file is valid before its serial number is in the keyring. If the keyring fails here, an older copy of
        // the file is still accepted until the next write.
        if (next.serial !== key.serial) await keys.keep(next, storage, limits).catch(() => {});
      } catch (error) {
        if (error instanceof MountaineerError) throw error;
        throw new MountaineerError("secret_unavailable", `${path} cannot be written: ${errorText(error)}`, {
          cause: error,
          retry: "later",
        });
      }
    },
  };
}

/** The keyring; null without a session bus, because `secret-tool` would start a bus. */
export function sessionKeyring(options: KeyringOptions): Keyring | null {
  const keyring = createKeyring(options);
  const hasSession = Boolean(options.environment["DBUS_SESSION_BUS_ADDRESS"]);
  return keyring?.kind === "secret-service" && !hasSession ? null : keyring;
}

/** Whether the session bus has an address but no socket, as after an earlier session or for another user. */
async function isBusGone(environment: SealedFileOptions["environment"]): Promise<boolean> {
  const [, path] = /^unix:path=([^,;]+)/.exec(environment["DBUS_SESSION_BUS_ADDRESS"] ?? "") ?? [];
  return path !== undefined && !(await isThere(path));
}

/** False only if the path certainly does not exist. */
async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    (error: unknown) => systemErrorCode(error) !== "ENOENT",
  );
}

function sealed(
  value: unknown,
  name: string,
  { key, serial, note }: SealingKey,
  storage: KeyStorage,
): string {
  const body = JSON.stringify(value, null, 2);
  const header = {
    version: VERSION,
    serial,
    note,
    key_in: storage,
    mac: macOf(name, serial, note, body, key),
  };
  return `${JSON.stringify(header)}\n${body}\n`;
}

function claimedIn(text: string | null): unknown {
  return valueOr(() => (text === null ? null : parseJson(text.slice(text.indexOf("\n") + 1))), null);
}

function unanswered(reason: string, hint: string): MountaineerError {
  return new MountaineerError("secret_unavailable", `the keyring gives no answer: ${reason}`, {
    hint,
    retry: "later",
  });
}

/** The content, or the reason why this home did not write it. */
function openSeal(
  text: string,
  name: string,
  key: string,
): { readonly value: unknown; readonly serial: number; readonly note: string } | string {
  const strange = "it is not a file that Mountaineer wrote";
  try {
    const end = text.indexOf("\n");
    const { version, serial, note, mac } = jsonObject(text.slice(0, end)) ?? {};
    if (typeof serial !== "number" || typeof note !== "string" || typeof mac !== "string") return strange;
    if (version !== VERSION) return "another version of Mountaineer wrote it";
    const body = text.slice(end + 1, -1);
    const expected = Buffer.from(macOf(name, serial, note, body, key));
    const found = Buffer.from(mac);
    const { timingSafeEqual } = process.getBuiltinModule("node:crypto");
    if (expected.length !== found.length || !timingSafeEqual(expected, found)) {
      return "another program wrote or changed it";
    }
    return { value: parseJson(body), serial, note };
  } catch {
    return strange;
  }
}

function macOf(name: string, serial: number, remark: string, body: string, key: string): string {
  const { createHmac } = process.getBuiltinModule("node:crypto");
  return createHmac("sha256", Buffer.from(key, "hex"))
    .update(JSON.stringify([VERSION, name, serial, remark]))
    .update("\n")
    .update(body)
    .digest("hex");
}
