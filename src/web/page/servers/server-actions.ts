// Edits, disables and removes a server, from its card; enables it in the tab that may run commands.
import { type ComponentChild, h } from "preact";
import type { BackendStatus } from "../../../api/contract/contract.ts";
import { sentence } from "../../../api/labels/actions.ts";
import { isAwaitingApproval } from "../../../api/labels/backend-labels.ts";
import { editOutcome } from "../../../api/labels/outcome-labels.ts";
import type { ConfigEditWire } from "../../../api/operations/requests.ts";
import { tomlKey } from "../../../config/edit/toml-value.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { WANTED } from "../config/editor-memory.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { WorkButton } from "../parts/elements.ts";
import { UNDO_MS } from "../parts/notices.ts";
import { useMayRunCommands } from "../parts/owner-lock.ts";
import { shown } from "../parts/text.ts";

/** `isRow`: in the one line of a sleeping server, which can be left running from now on. */
export function ServerActions({
  app,
  backend,
  isRow,
}: ViewProps & { readonly backend: BackendStatus; readonly isRow?: boolean }): ComponentChild {
  const may = useMayRunCommands(app);
  const { name, enabled, type } = backend;
  // Another machine's configuration names its servers.
  if (type === "fleet") return null;
  const subject = shown(name);
  const table = `backends.${tomlKey(name)}`;
  const key = `${table}.enabled`;
  const button = (label: string, run: () => Promise<unknown>): ComponentChild =>
    h(WorkButton, { key: label, label, accessibleName: `${label}: ${subject}`, kind: "quiet", run });
  if (isRow) {
    return button("Keep running", () =>
      change(app, `Keep ${subject} running`, [{ key: `${table}.start`, value: '"always"' }]),
    );
  }
  return [
    button("Edit", async () => {
      WANTED.storeOf(app.requests, "", () => ({ server: null })).set({ server: name });
      location.hash = "#/settings/configuration";
    }),
    isAwaitingApproval(backend)
      ? null
      : enabled
        ? button("Disable", () => change(app, `Disable ${subject}`, [{ key, value: "false" }]))
        : may && button("Enable", () => change(app, `Enable ${subject}`, [{ key, value: null }])),
    button("Remove", async () => {
      const yes = await app.confirm({
        title: `Remove ${subject}?`,
        body: h("p", {}, "Clients lose its tools. Its secrets stay kept."),
        ...{ action: "Remove", destroys: true },
      });
      if (yes) await change(app, `Remove ${subject}`, [{ remove: "backends", name }]);
    }),
  ];
}

/** Saves the edits; the notice offers Undo while this tab will still be allowed to do it. */
async function change(app: App, what: string, edits: ConfigEditWire[]): Promise<void> {
  await app.attempt(what, async () => {
    const { call } = app.requests;
    const before = await call("config");
    const saved = await call("edit", { edits, expected_sha256: before.sha256, source: "page" });
    const undo = async (): Promise<void> => {
      await app.attempt(what, async () => {
        const request = { text: before.text, expected_sha256: saved.sha256, source: "page" } as const;
        report(app, editOutcome(await call("editText", request)));
      });
    };
    report(app, editOutcome(saved), saved.changed && mayUndo(app) ? undo : undefined);
  });
}

function report(
  app: App,
  { tone, text }: ReturnType<typeof editOutcome>,
  undo: (() => Promise<void>) | undefined = undefined,
): void {
  if (tone === "bad") throw new MountaineerError("config_invalid", text);
  app.notify(tone, sentence(text), ...(undo === undefined ? [] : [undo]));
  app.refresh();
}

/** True if the tab's right lasts as long as the notice. */
function mayUndo(app: App): boolean {
  const { session } = app.store.get();
  if (typeof session !== "object" || !session.mayRunCommands) return false;
  return session.ownerUntil === null || Date.parse(session.ownerUntil) - Date.now() > UNDO_MS;
}
