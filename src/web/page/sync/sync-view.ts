// Sync: the watch over the configuration file, its last changes, and its settings.
import { type ComponentChild, h } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { SyncReport } from "../../../api/contract/config.ts";
import { type FormNode, firstMistake, sentValue, withNode } from "../../../api/forms/form-node.ts";
import { changedFields, type Settings, sectionEdits, sectionForm } from "../../../api/forms/section-form.ts";
import { sentence } from "../../../api/labels/actions.ts";
import { editOutcome } from "../../../api/labels/outcome-labels.ts";
import { type EventRow, FILE_MISSING_TEXT, watchLabel, withEvent } from "../../../api/labels/sync-labels.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { objectOf } from "../../../runtime/text/json-object.ts";
import { FieldView } from "../catalog/form-view.ts";
import { useNow, useStore } from "../daemon/store.ts";
import type { ViewProps } from "../parts/app.ts";
import { useConfigFile, useConfigSchema } from "../parts/config-file.ts";
import {
  alertLine,
  code,
  line,
  loading,
  mark,
  nothing,
  row,
  section,
  WorkButton,
  withCode,
} from "../parts/elements.ts";
import { createFormStores, useFormStore } from "../parts/form-store.ts";
import { Table } from "../parts/table.ts";
import { forText, shown } from "../parts/text.ts";

export function SyncView({ app }: ViewProps): ComponentChild {
  const sync = useStore(app.store, (state) => state.sync);
  const now = useNow();
  const { report: schema, problem } = useConfigSchema(app);
  if (sync === null) return loading();
  return h(
    "div",
    {},
    section(
      "State",
      stateList(sync, now),
      line("problem", sync.last_error && `${sync.last_error.reason} (${sync.last_error.kind})`),
      line("ready", sync.degraded),
      line("ready", sync.file_missing ? FILE_MISSING_TEXT : null),
    ),
    section("Settings", schema === null ? loading(problem) : h(SyncConfigPanel, { app, sync, schema })),
    section("Last changes", changeTable(sync)),
  );
}

function stateList(sync: SyncReport, now: number): ComponentChild {
  const { tone, text } = watchLabel(sync.watching);
  const last = forText(sync.last_sync, now);
  const waiting = sync.waiting?.length ?? 0;
  const rows: (readonly [string, ComponentChild])[] = [
    ["File", code(sync.config_path)],
    ["Hash", code(sync.sha256.slice(0, 12))],
    ["Watch", mark(tone, text)],
    ["Last sync", last === null ? "none since the start" : `${last.replace("for ", "")} ago`],
  ];
  if (waiting > 0)
    rows.push(["Waiting", h("a", { href: "#/settings/approvals" }, `${waiting} for your approval`)]);
  return h(
    "dl",
    { class: "sync-state" },
    rows.map(([name, value]) => [h("dt", { key: name }, name), h("dd", { key: `${name} is` }, value)]),
  );
}

function changeTable(sync: SyncReport): ComponentChild {
  const rows = sync.events.reduce<readonly EventRow[]>(withEvent, []).toReversed();
  if (rows.length === 0) return nothing("The file has not changed since the daemon started.");
  return h(Table, {
    ...{ label: "Changes", titles: ["Time", "What", "Details"] },
    rows: rows.map(({ time, type, details, count }, nth) => ({
      key: String(nth),
      cells: [
        shown(time),
        mark(type === "error" ? "bad" : type === "changed" ? "good" : "plain", type),
        [withCode(details), count > 1 ? ` (${count} times)` : ""],
      ],
    })),
  });
}

// The form for the section `[sync]`. A save is refused if the file has changed since the form was drawn.

/** `schema`: the JSON Schema of the configuration. */
export function settingsForm(schema: unknown, settings: Settings): FormNode {
  const root = sectionForm(schema, "sync", settings);
  const children = root.children.map((child) => ({ ...child, label: child.field.title ?? child.label }));
  return { ...root, children };
}

interface SyncForm {
  /** The settings that the form was drawn from. */
  readonly settings: Settings;
  /**
   * Digest of the file that a save replaces, which may be newer than the running settings. null: not read
   * yet.
   */
  readonly sha256: string | null;
  readonly root: FormNode;
}

/** Keeps unsaved input over a change of view. */
export const SYNC_FORMS = createFormStores<SyncForm>();

export function unsavedSync(session: object): SyncForm | null {
  const form = SYNC_FORMS.find(session);
  return form !== null && isChanged(form) ? form : null;
}

function isChanged({ settings, root }: SyncForm): boolean {
  return changedFields(root, settings).length > 0;
}

interface PanelProps extends ViewProps {
  readonly sync: SyncReport;
  readonly schema: unknown;
}

function SyncConfigPanel({ app, sync, schema }: PanelProps): ComponentChild {
  const { report, reload } = useConfigFile(app);
  const file = report?.sha256 ?? null;
  const drawnFrom = (settings: Settings, sha256: string | null): SyncForm => ({
    ...{ settings, sha256 },
    root: settingsForm(schema, settings),
  });
  const [form, store] = useFormStore(SYNC_FORMS, app.requests, () => drawnFrom({ ...sync.settings }, null));
  const [isTried, setTried] = useState(false);
  const [refused, setRefused] = useState<string | null>(null);
  const { sha256 } = form;
  const isDirty = isChanged(form);

  const redraw = (newSha256: string | null): void => {
    store.set(drawnFrom({ ...sync.settings }, newSha256));
    setTried(false);
    setRefused(null);
  };
  // A form without changes follows the file; changed fields stay as they are.
  useEffect(() => {
    const unsaved = unsavedSync(app.requests);
    if (unsaved === null) redraw(file);
    else if (unsaved.sha256 === null) store.set({ sha256: file });
  }, [file, JSON.stringify(sync.settings)]);

  const edit = (edits: ReturnType<typeof sectionEdits>, expected: string) =>
    app.requests.call("edit", { edits, expected_sha256: expected, source: "page" });
  const save = async (): Promise<void> => {
    const { settings, root } = store.get();
    const isWrong = firstMistake(root) !== null;
    setTried(isWrong);
    if (isWrong || sha256 === null) return;
    try {
      const wanted = objectOf(sentValue(root));
      const report = await edit(sectionEdits("sync", root, settings), sha256);
      const { tone, text } = editOutcome(report);
      if (report.errors.length > 0) {
        setRefused(sentence(text));
        return;
      }
      setRefused(null);
      store.set({ settings: wanted, sha256: report.sha256 });
      app.notify(tone, sentence(text), () =>
        app.attempt("Undo", async () => {
          const undone = editOutcome(
            await edit(sectionEdits("sync", settingsForm(schema, settings), wanted), report.sha256),
          );
          app.notify(undone.tone, sentence(undone.text));
        }),
      );
      void reload();
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
  const isOutdated = isDirty && sha256 !== null && file !== null && file !== sha256;
  return h(
    "form",
    {
      class: "card plain form",
      "aria-label": "Sync settings",
      onSubmit: (event: Event) => event.preventDefault(),
    },
    h(FieldView, {
      ...{ node: form.root, path: [], label: "Settings", isTried, scope: "sync" },
      onNode: (path, node) => store.set({ root: withNode(store.get().root, path, node) }),
    }),
    alertLine(
      isOutdated ? "The file has changed since this form was drawn. A save will be refused." : null,
      "ready",
    ),
    alertLine(refused),
    row(
      h(WorkButton, { label: "Save", kind: "main", off: !isDirty || sha256 === null, run: save }),
      h(
        "button",
        {
          type: "button",
          disabled: !isDirty && refused === null,
          onClick: () => void reload().then((found) => redraw(found?.sha256 ?? null)),
        },
        isOutdated || refused !== null ? "Reload" : "Undo",
      ),
    ),
  );
}
