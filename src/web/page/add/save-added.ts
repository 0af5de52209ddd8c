// Saves an added share or server: first its secrets, which are removed again if the configuration is refused.

import type { ConfigEditWire } from "../../../api/operations/requests.ts";
import { keepWhile } from "../../../api/setup/home-secrets.ts";
import { sentence } from "../../../api/words/actions.ts";
import { editOutcome } from "../../../api/words/outcome-words.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import type { App } from "../parts/app.ts";

export interface SecretToKeep {
  readonly name: string;
  readonly value: string;
}

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
  const store = {
    set: (name: string, value: string) => ask("setSecret", { name, value }),
    remove: (name: string) => ask("removeSecret", { name }),
  };
  const texts = secrets.map(({ name, value }) => [name, value] as const);
  await keepWhile(store, texts, AbortSignal.any([]), async () => {
    const report = await ask("edit", { edits, expected_sha256: expected, source: "page" });
    const { tone, text } = editOutcome(report);
    if (report.errors.length > 0) throw new MountaineerError("config_invalid", text);
    app.notify(tone, sentence(text));
    app.refresh();
  });
}

/** Resolves with a function that is true for a name that is stored or used already. */
export async function takenSecrets(app: App): Promise<(name: string) => boolean> {
  const { secrets } = await app.requests.ask("secrets");
  const names = new Set(secrets.map(({ name }) => name));
  return (name) => names.has(name);
}
