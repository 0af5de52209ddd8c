// Keeps secrets before the configuration names them, because a running daemon applies the file at once.
import type { HomeSecrets } from "../../api/home-secrets.ts";

/** Keeps the secrets and runs `write`; if `write` fails, removes the secrets again and rejects with the same error. */
export async function keepWhile<T>(
  store: Pick<HomeSecrets, "set" | "remove">,
  secrets: Iterable<readonly [name: string, value: string]>,
  signal: AbortSignal,
  write: () => Promise<T>,
): Promise<T> {
  const kept: string[] = [];
  try {
    for (const [name, value] of secrets) {
      await store.set(name, value, null, signal);
      kept.push(name);
    }
    return await write();
  } catch (error) {
    for (const name of kept) await store.remove(name, signal);
    throw error;
  }
}
