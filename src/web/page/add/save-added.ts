// Saves an added share or server: first its secrets, which are removed again if the configuration is refused.
import type { ConfigEditWire } from "../../../api/requests.ts";
import { sentence } from "../../../api/words/actions.ts";
import { editOutcome } from "../../../api/words/outcome-words.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import type { App } from "../parts/app.ts";

export interface SecretToKeep {
  readonly name: string;
  readonly value: string;
}

/** After these failures the file may have been written. */
const UNCERTAIN: ReadonlySet<string> = new Set(["timed_out", "daemon_unreachable", "aborted"]);

/**
 * Stores the secrets, then saves the edits. `expected`: digest of the file that the person saw. Rejects with
 * `MountaineerError`.
 */
export async function saveAdded(
  app: App,
  edits: ConfigEditWire[],
  secrets: readonly SecretToKeep[],
  expected: string,
): Promise<void> {
  const { ask } = app.requests;
  const kept: string[] = [];
  try {
    for (const secret of secrets) {
      await ask("setSecret", { ...secret });
      kept.push(secret.name);
    }
    const report = await ask("edit", { edits, expected_sha256: expected, source: "page" });
    const { tone, text } = editOutcome(report);
    if (report.errors.length > 0) throw new MountaineerError("config_invalid", text);
    app.notify(tone, sentence(text));
    app.refresh();
  } catch (error) {
    const isRefused = error instanceof MountaineerError && !UNCERTAIN.has(error.code);
    for (const name of isRefused ? kept : []) await ask("removeSecret", { name }).catch(() => {});
    throw error;
  }
}

/** Resolves with a function that is true for a name that is stored or used already. */
export async function takenSecrets(app: App): Promise<(name: string) => boolean> {
  const { secrets } = await app.requests.ask("secrets");
  const names = new Set(secrets.map(({ name }) => name));
  return (name) => names.has(name);
}
