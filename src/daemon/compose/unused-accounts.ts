// Tokens and secrets of users whose entry or server is no longer in the configuration. They stay unused for a day, because a
// wrong checkout must not sign everybody out, and are then forgotten.
import { readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { MountaineerConfig } from "../../config/snapshot.ts";
import { grantFile } from "../../gateway/backends/server-sign-in/grant-store.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { ensurePrivateFolder, readIfPresent, writeDurably } from "../../runtime/files/durable-file.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { number, reader, record } from "../../runtime/shape.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { openEncryptedFiles } from "../../secrets/encrypted-files.ts";
import type { SecretValues } from "../../secrets/reference.ts";
import { accountsOf, ifMissing, userKey } from "../../secrets/user-secrets.ts";
import { signInHome, tokensOf, usersOf } from "./stored-secrets.ts";

const UNUSED_FOR_MS = 24 * 3_600_000;
/** By the file, since when it has been unused, wall ms. */
const readTimes = reader(record(number));

interface UnusedOptions extends RuntimeTools {
  readonly home: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The running configuration, and its secrets. */
  readonly config: MountaineerConfig;
  readonly values: SecretValues;
}

/** Remembers in the home what is unused since when, and forgets what has been for a day. */
export async function forgetUnusedAccounts(options: UnusedOptions, signal: AbortSignal): Promise<void> {
  const { home, clock, logger } = options;
  const store = await signInHome(options).openStore();
  const path = join(home, "sign-in", "_unused.json");
  const before = readTimes(jsonObject((await readIfPresent(path)) ?? "")) ?? {};
  const after: Record<string, number> = {};
  const isUsed = usesOf(options);
  for (const folder of ["sign-in", "user-secrets"].map((name) => join(home, name))) {
    const files = openEncryptedFiles({ folder, clock, store });
    const names = (await readdir(folder).catch(ifMissing)).filter((name) => name.endsWith(".json"));
    for (const file of new Set(names.map((name) => basename(basename(name, ".json"), ".asked")))) {
      if (await isUsed(file, () => files.read(file, signal))) continue;
      const sinceMs = Math.min(before[file] ?? clock.wallMs(), clock.wallMs());
      if (clock.wallMs() - sinceMs < UNUSED_FOR_MS) after[file] = sinceMs;
      else {
        await rm(join(folder, `${file}.asked.json`), { force: true });
        await files.remove(file);
        logger.info("tokens or secrets of a user's former entry are forgotten", { file });
      }
    }
  }
  if (isDeepStrictEqual(after, before)) return;
  await ensurePrivateFolder(join(home, "sign-in"));
  await writeDurably(path, JSON.stringify(after), { mode: 0o600 });
}

/** Whether the file belongs to an entry and a server of the configuration. True for the owner's, and if it is unknown now. */
function usesOf({ config, values, clock }: UnusedOptions) {
  const entries = new Map(
    usersOf(config).map((user) => {
      const tokens = tokensOf(user, values, clock.wallMs());
      return [userKey(user.name), tokens.length === 0 ? null : accountsOf({ name: user.name, tokens })];
    }),
  );
  const servers = config.backends.filter(({ accounts }) => accounts === "each");
  const starts = new Set(["user", ...servers.map(({ name }) => grantFile(name, null))]);
  return async (file: string, read: () => Promise<string | null>): Promise<boolean> => {
    const [start, user] = [file.slice(0, -33), file.slice(-32)];
    if (!/^[0-9a-f]{32}$/.test(user)) return true;
    const accounts = entries.get(user);
    if (!starts.has(start) || accounts === undefined) return false;
    try {
      const content = await read();
      return (
        accounts === null || content === null || accounts.includes(String(jsonObject(content)?.["account"]))
      );
    } catch (error) {
      if (error instanceof MountaineerError) return error.retry !== "never";
      throw error;
    }
  };
}
