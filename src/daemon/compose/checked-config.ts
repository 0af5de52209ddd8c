// The newest configuration that this build has checked, encrypted in the home. A start with the same bytes then needs no
// process that reads them: what the check finds depends only on the bytes, the build and the facts of the machine.
import { basename } from "node:path";
import { openHistory } from "../../config/history/history.ts";
import { checkedConfigPath, type HomeContext } from "../../config/home-context.ts";
import { readConfigBytes } from "../../config/read/config-bytes.ts";
import { type ConfigSnapshot, deepFreeze } from "../../config/snapshot.ts";
import { isExpectedError, isOwnError, isSystemError, recoverFrom } from "../../runtime/errors.ts";
import { keepPrivateFile, readIfPresent } from "../../runtime/files/durable-file.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";
import { decryptText, encryptText } from "../../secrets/encrypted-files.ts";
import type { KeyStorage } from "../../secrets/sealing-key.ts";

const NAME = "checked";
const BUILD_NAME = /^[0-9a-f]{16}$/;

interface CheckedConfigOptions {
  readonly home: string;
  /**
   * The key, 32 bytes in hexadecimal; `makes`: makes one if there is none. Null: there is none, or approvals cannot be
   * trusted now, so that the file is read. May reject.
   */
  readonly key: (makes: boolean) => Promise<string | null>;
  /** The name of the running build; null: sources, which change under their name. */
  readonly build?: string | null;
}

/**
 * False for a key in the home's file while that of the approvals is in the keyring: any program that can write to the home
 * could have made it, and a configuration that it encrypted would run without an approval.
 */
export function isTrustedKey(own: KeyStorage | null, ofApprovals: KeyStorage | null): boolean {
  return own !== "file" || ofApprovals !== "keyring";
}

export type CheckedConfig = ReturnType<typeof openCheckedConfig>;

function runningBuild(): string | null {
  const name = basename(import.meta.dirname);
  return BUILD_NAME.test(name) ? name : null;
}

function decrypted(text: string, key: string): Readonly<Record<string, unknown>> {
  try {
    return objectOf(parseJson(decryptText(NAME, text, Buffer.from(key, "hex"))));
  } catch (error) {
    return recoverFrom(isOwnError, {})(error);
  }
}

export function openCheckedConfig({ home, key, build = runningBuild() }: CheckedConfigOptions) {
  const path = checkedConfigPath(home);
  let found: ConfigSnapshot | null = null;
  /** All that the check depends on. */
  const ground = (configPath: string, sha256: string, homeContext: HomeContext): string =>
    JSON.stringify([build, process.version, configPath, sha256, homeContext]);

  return {
    /**
     * The configuration, if this build has checked and accepted exactly these bytes; null: it must be read. The disk of
     * `configPath` must answer.
     */
    async find(configPath: string, homeContext: HomeContext): Promise<ConfigSnapshot | null> {
      const text = build === null ? null : await readIfPresent(path).catch(recoverFrom(isSystemError, null));
      if (text === null) return null;
      const [encryptionKey, bytes, [newest]] = await Promise.all([
        key(false).catch(recoverFrom(isExpectedError, null)),
        readConfigBytes(configPath).catch(recoverFrom(isOwnError, null)),
        openHistory(home, configPath).newest().catch(recoverFrom(isSystemError, [])),
      ]);
      if (encryptionKey === null || bytes === null) return null;
      const sha256 = sha256Of(bytes);
      // After another content was accepted, this one may be half of it.
      if (newest?.entry.sha256 !== sha256) return null;
      const stored = decrypted(text, encryptionKey);
      if (stored["ground"] !== ground(configPath, sha256, homeContext)) return null;
      // The assertion holds: `keep` encrypted a value of this type.
      found = deepFreeze(stored["snapshot"] as ConfigSnapshot);
      return found;
    },
    /** Keeps the accepted content of a file for the next start. If it cannot be written, that start reads the file. */
    async keep(snapshot: ConfigSnapshot, homeContext: HomeContext): Promise<void> {
      if (build === null || snapshot === found) return;
      const value = JSON.stringify({
        ground: ground(snapshot.path, snapshot.sha256, homeContext),
        snapshot,
      });
      // Where servers follow a client's folder, the check also follows links outside of the file.
      if (value.includes('"cwdIsClients":true')) return;
      const encryptionKey = await key(true).catch(recoverFrom(isExpectedError, null));
      if (encryptionKey === null) return;
      const text = encryptText(NAME, value, Buffer.from(encryptionKey, "hex"));
      await keepPrivateFile(path, text, { mode: 0o600 }).catch(recoverFrom(isExpectedError));
    },
  };
}
