// Servers that an import has switched off only because secrets of them were not stored yet; storing the last enables them.
import { join } from "node:path";
import { keepPrivateFile, readIfPresent } from "../../runtime/files/durable-file.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";

type Waiting = Readonly<Record<string, readonly string[]>>;

const pathIn = (home: string): string => join(home, "import-waits.json");

async function readWaiting(home: string): Promise<Waiting> {
  const found = Object.entries(jsonObject((await readIfPresent(pathIn(home))) ?? "") ?? {});
  const isNames = (value: unknown): value is string[] =>
    Array.isArray(value) && value.every((one) => typeof one === "string");
  return Object.fromEntries(found.flatMap(([name, names]) => (isNames(names) ? [[name, names]] : [])));
}

/** `waiting`: the names of the secrets that each server waits for. */
export async function rememberWaiting(home: string, waiting: Waiting): Promise<void> {
  if (Object.keys(waiting).length === 0) return;
  const all = { ...(await readWaiting(home)), ...waiting };
  await keepPrivateFile(pathIn(home), `${JSON.stringify(all)}\n`, { mode: 0o600 });
}

/** The servers whose last secret is now stored. They no longer wait. */
export async function takeReady(home: string, stored: ReadonlySet<string>): Promise<readonly string[]> {
  const waiting = Object.entries(await readWaiting(home));
  const ready = waiting.filter(([, names]) => names.every((name) => stored.has(name)));
  if (ready.length === 0) return [];
  const left = Object.fromEntries(waiting.filter((one) => !ready.includes(one)));
  await keepPrivateFile(pathIn(home), `${JSON.stringify(left)}\n`, { mode: 0o600 });
  return ready.map(([name]) => name);
}
