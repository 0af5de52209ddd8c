// Sync: whether the configuration file is watched, what came of its changes, and the settings of the watch.
import { type ComponentChild, h } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { SyncReport, SyncSettingsWire } from "../../../api/contract.ts";
import {
  changedFields,
  DETECTIONS,
  draftEdits,
  draftMistakes,
  draftOf,
  FAILURE_MODES,
  FIELDS,
  type FieldMistakes,
  type FieldName,
  type SyncDraft,
  settingsOf,
} from "../../../api/forms/sync-fields.ts";
import { actionsFor, actionWith, sentence } from "../../../api/words/actions.ts";
import { editOutcome } from "../../../api/words/outcome-words.ts";
import { type EventRow, FILE_MISSING_TEXT, watchingWords, withEvent } from "../../../api/words/sync-words.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { useNow, useStore } from "../daemon/store.ts";
import { ActionButton } from "../parts/action-button.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { useConfigFile } from "../parts/config-file.ts";
import { code, mark, nothing, section, table, WorkButton } from "../parts/elements.ts";
import { createFormStores, useFormStore } from "../parts/form-store.ts";
import { forText, shown } from "../parts/text.ts";

export function SyncView({ app }: ViewProps): ComponentChild {
  const sync = useStore(app.store, (state) => state.sync);
  const now = useNow();
  if (sync === null) return nothing("Asking the daemon …");
  const reload = actionWith(actionsFor({ shares: [] }), "reload");
  return h(
    "div",
    {},
    section(
      "State",
      h(StateList, { sync, now }),
      sync.last_error === null
        ? null
        : h("p", { class: "problem" }, `${shown(sync.last_error.reason)} (${shown(sync.last_error.kind)})`),
      sync.degraded === null ? null : h("p", { class: "ready" }, shown(sync.degraded)),
      sync.file_missing ? h("p", { class: "ready" }, FILE_MISSING_TEXT) : null,
      reload === null ? null : h("p", { class: "row actions" }, h(ActionButton, { app, action: reload })),
    ),
    section("Settings", h(SyncConfigPanel, { app, sync })),
    section("Last changes", h(SyncEvents, { sync })),
  );
}

function StateList({ sync, now }: { readonly sync: SyncReport; readonly now: number }): ComponentChild {
  const { tone, text } = watchingWords(sync.watching);
  const last = forText(sync.last_sync, now);
  const rows: readonly (readonly [string, ComponentChild])[] = [
    ["File", code(sync.config_path)],
    ["Hash", code(sync.sha256.slice(0, 12))],
    ["Watch", mark(tone, text)],
    ["Last sync", last === null ? "none since the start" : `${last.replace("for ", "")} ago`],
    ...((sync.waiting ?? []).length === 0
      ? []
      : [
          [
            "Waiting",
            h("a", { href: "#/settings/approvals" }, `${sync.waiting?.length} for your approval`),
          ] as const,
        ]),
  ];
  return h(
    "dl",
    { class: "sync-state" },
    rows.map(([name, value]) => [h("dt", { key: name }, name), h("dd", { key: `${name} is` }, value)]),
  );
}

function SyncEvents({ sync }: { readonly sync: SyncReport }): ComponentChild {
  const rows = sync.events.reduce<readonly EventRow[]>(withEvent, []).toReversed();
  if (rows.length === 0) return nothing("The file has not changed since the daemon started.");
  return table(
    "Changes",
    ["Time", "What", "Details"],
    rows.map(({ time, type, details, count }) => [
      shown(time),
      mark(type === "error" ? "bad" : type === "changed" ? "good" : "plain", type),
      [shown(details), count > 1 ? ` (${count} times)` : ""],
    ]),
  );
}

// The settings of `[sync]`: a form that is saved into the configuration file, and refused when that has changed since
// the form was drawn.

const LABELS: Readonly<Record<FieldName, string>> = {
  enabled: "Watch the file",
  poll_interval: "Look every (seconds)",
  debounce: "Wait after last save (s)",
  detection: "Notice changes by",
  on_failure: "After a failed reload",
};

const HINTS: Readonly<Record<FieldName, string>> = {
  enabled: "Without it, only Reload and edits made here apply the file.",
  poll_interval: "How often the file is looked at.",
  debounce: "How long the file must rest, so that several saves are one reload.",
  detection: "mtime: the file's time; hash: its content; inotify: the system's events.",
  on_failure: "backoff: again, less and less often; fixed: again at the usual pace; stop: no more.",
};

interface PanelProps {
  readonly app: App;
  readonly sync: SyncReport;
}

function SyncConfigPanel({ app, sync }: PanelProps): ComponentChild {
  const { report, look } = useConfigFile(app);
  const file = report?.sha256 ?? null;
  const [{ base, draft }, kept] = useFormStore(SYNC_FORMS, app.requests, () =>
    drawnFrom(sync.settings, null),
  );
  const [mistakes, setMistakes] = useState<FieldMistakes>({});
  const [refused, setRefused] = useState<string | null>(null);
  const isDirty = changedFields(draft, base.settings).length > 0;

  const redraw = (sha256: string | null): void => {
    kept.set(drawnFrom(sync.settings, sha256));
    setMistakes({});
    setRefused(null);
  };
  // What nobody has touched follows the file; what somebody has changed stays as it was drawn.
  useEffect(() => {
    // Something may have been typed since this was drawn.
    const unsaved = unsavedSync(app.requests);
    if (unsaved === null) redraw(file);
    else if (unsaved.base.sha256 === null) kept.set({ base: { ...unsaved.base, sha256: file } });
  }, [file, JSON.stringify(sync.settings)]);

  const save = async (): Promise<void> => {
    const wrong = draftMistakes(draft);
    setMistakes(wrong);
    if (Object.keys(wrong).length > 0 || base.sha256 === null) return;
    try {
      const report = await app.requests.ask("edit", {
        edits: [...draftEdits(draft, base.settings)],
        expected_sha256: base.sha256,
        source: "page",
      });
      const { tone, text } = editOutcome(report);
      if (report.errors.length > 0) {
        setRefused(sentence(text));
        return;
      }
      setRefused(null);
      kept.set({ base: { settings: settingsOf(draft), sha256: report.sha256 } });
      const back = draftEdits(draftOf(base.settings), settingsOf(draft));
      app.notify(tone, sentence(text), () =>
        app.attempt("Undo", async () => {
          const expected = { expected_sha256: report.sha256, source: "page" } as const;
          const undone = editOutcome(await app.requests.ask("edit", { edits: back, ...expected }));
          app.notify(undone.tone, sentence(undone.text));
        }),
      );
      void look();
      app.refresh();
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      setRefused(
        error.code === "config_changed"
          ? "The file has changed since this form was drawn. Nothing was saved."
          : `Nothing was saved: ${error.message}`,
      );
    }
  };
  const isOutdated = isDirty && base.sha256 !== null && file !== null && file !== base.sha256;
  return h(
    "form",
    {
      class: "card plain form",
      "aria-label": "Sync settings",
      onSubmit: (event: Event) => event.preventDefault(),
    },
    FIELDS.map((field) =>
      h(PanelField, {
        key: field,
        field,
        value: String(draft[field]),
        mistake: mistakes[field] ?? null,
        onValue: (value) => kept.set({ draft: { ...kept.get().draft, [field]: value } }),
      }),
    ),
    isOutdated
      ? h(
          "p",
          { class: "ready", role: "alert" },
          "The file has changed since this form was drawn. A save will be refused.",
        )
      : null,
    refused === null ? null : h("p", { class: "problem", role: "alert" }, shown(refused)),
    h(
      "div",
      { class: "row" },
      h(WorkButton, { label: "Save", kind: "main", off: !isDirty || base.sha256 === null, run: save }),
      h(
        "button",
        {
          type: "button",
          disabled: !isDirty && refused === null,
          onClick: () => void look().then((found) => redraw(found?.sha256 ?? null)),
        },
        isOutdated || refused !== null ? "Draw it anew" : "Undo",
      ),
    ),
  );
}

function drawnFrom(settings: SyncBase["settings"], sha256: string | null): SyncForm {
  return { base: { settings, sha256 }, draft: draftOf(settings) };
}

interface PanelFieldProps {
  readonly field: FieldName;
  readonly value: string;
  readonly mistake: string | null;
  readonly onValue: (value: string | boolean) => void;
}

function PanelField({ field, value, mistake, onValue }: PanelFieldProps): ComponentChild {
  const id = `sync-${field}`;
  const put = (event: Event): void => onValue((event.target as HTMLInputElement | HTMLSelectElement).value);
  const shared = { id, value, "aria-describedby": `${id}-about`, "aria-invalid": mistake !== null };
  const words = field === "detection" ? DETECTIONS : field === "on_failure" ? FAILURE_MODES : null;
  const control =
    field === "enabled"
      ? h("input", {
          id,
          type: "checkbox",
          checked: value === "true",
          "aria-describedby": `${id}-about`,
          onChange: (event: Event) => onValue((event.target as HTMLInputElement).checked),
        })
      : words === null
        ? h("input", { ...shared, type: "text", inputMode: "decimal", size: 8, onInput: put })
        : h(
            "select",
            { ...shared, onChange: put },
            words.map((word) => h("option", { key: word, value: word }, word)),
          );
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, LABELS[field]),
    h("div", {}, control),
    h(
      "p",
      { class: "hint", id: `${id}-about` },
      mistake === null ? HINTS[field] : h("strong", {}, `${LABELS[field]}: ${mistake}`),
    ),
  );
}

// What was changed in the settings form and not saved outlives a look at another view.

/** What a form was drawn from: a save is meant for exactly this content. */
interface SyncBase {
  readonly settings: SyncSettingsWire;
  /** Of the file, which may be ahead of what runs. Null: it was not read yet. */
  readonly sha256: string | null;
}

/** What a form was drawn from, and what became of it. */
interface SyncForm {
  readonly base: SyncBase;
  readonly draft: SyncDraft;
}

export const SYNC_FORMS = createFormStores<SyncForm>();

/** Null: nothing is to be saved. */
export function unsavedSync(session: object): SyncForm | null {
  const form = SYNC_FORMS.find(session);
  return form !== null && changedFields(form.draft, form.base.settings).length > 0 ? form : null;
}
