// Keeps secrets before the configuration names them, because a running daemon applies the file at once.
import type { SecretKeeper } from "../../api/secret-keeper.ts";

/** Keeps the secrets and runs `write`; if `write` fails, removes the secrets again and rejects with the same error. */
export async function keepWhile<T>(
  keeper: Pick<SecretKeeper, "set" | "remove">,
  secrets: Iterable<readonly [name: string, value: string]>,
  signal: AbortSignal,
  write: () => Promise<T>,
): Promise<T> {
  const kept: string[] = [];
  try {
    for (const [name, value] of secrets) {
      await keeper.set(name, value, null, signal);
      kept.push(name);
    }
    return await write();
  } catch (error) {
    for (const name of kept) await keeper.remove(name, signal);
    throw error;
  }
}
