// Saves an added share or server: first its secrets, which are removed again if the configuration is refused.

import { sentence } from "../../../api/labels/actions.ts";
import { editOutcome } from "../../../api/labels/outcome-labels.ts";
import type { ConfigEditWire } from "../../../api/operations/requests.ts";
import { keepWhile } from "../../../api/setup/home-secrets.ts";
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
  const { call } = app.requests;
  const store = {
    set: (name: string, value: string) => call("setSecret", { name, value }),
    remove: (name: string) => call("removeSecret", { name }),
  };
  const texts = secrets.map(({ name, value }) => [name, value] as const);
  await keepWhile(store, texts, AbortSignal.any([]), async () => {
    const report = await call("edit", { edits, expected_sha256: expected, source: "page" });
    const { tone, text } = editOutcome(report);
    if (report.errors.length > 0) throw new MountaineerError("config_invalid", text);
    app.notify(tone, sentence(text));
    app.refresh();
  });
}

/** Resolves with a function that is true for a name that is stored or used already. */
export async function takenSecrets(app: App): Promise<(name: string) => boolean> {
  const { secrets } = await app.requests.call("secrets");
  const names = new Set(secrets.map(({ name }) => name));
  return (name) => names.has(name);
}
