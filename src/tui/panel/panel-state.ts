// The state of the settings panel, and its changes by reports and answers of the daemon. Pure.
import type { ConfigMistakeWire, ConfigReport } from "../../api/contract/config.ts";
import { type FormNode, mistakeAt, sentValue } from "../../api/forms/form-node.ts";
import { changedFields, type Settings, sectionForm } from "../../api/forms/section-form.ts";
import { mistakesText } from "../../api/labels/outcome-labels.ts";
import { configJsonSchema } from "../../config/schema/schema.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import { createPanelForm, focusedRow, type PanelForm } from "./panel-form.ts";

/** The configuration file that an edit is based on: its state when the panel last had no unsaved changes. */
export type BaseFile = Pick<ConfigReport, "sha256" | "text">;

/**
 * Result of the last save or reload, until the next change. `applied`: why a saved file is not in effect, or
 * null.
 */
export type PanelNotice =
  | { readonly kind: "saved"; readonly lines: readonly string[]; readonly applied: string | null }
  | { readonly kind: "reloaded"; readonly summary: string }
  | { readonly kind: "nothing" }
  | { readonly kind: "invalid" }
  | { readonly kind: "unsaved" }
  | { readonly kind: "failed"; readonly reason: string };

export interface PanelState {
  /** The name of the section in the configuration file. */
  readonly section: string;
  /** The running settings; null before the first report. */
  readonly settings: Settings | null;
  /** The settings as the user has changed them. */
  readonly form: PanelForm;
  readonly file: BaseFile | null;
  /**
   * SHA-256 of the configuration that ran when the panel last had no unsaved changes: the content that the user has
   * seen.
   */
  readonly baseSha256: string | null;
  /** The file has changed since the first unsaved change. */
  readonly fileChanged: boolean;
  /** The errors that the daemon has reported, by field. */
  readonly refused: Readonly<Record<string, string>>;
  readonly saving: boolean;
  readonly notice: PanelNotice | null;
}

export function createPanel(section: string): PanelState {
  return {
    section,
    settings: null,
    form: formOf(section, null),
    file: null,
    baseSha256: null,
    fileChanged: false,
    refused: {},
    saving: false,
    notice: null,
  };
}

export function formOf(section: string, settings: Settings | null): PanelForm {
  return createPanelForm(sectionForm(configJsonSchema(), section, settings ?? {}));
}

export function isDirty({ form, settings }: PanelState): boolean {
  return settings !== null && changedFields(form.root, settings).length > 0;
}

/** An error found by the panel wins over one found by the daemon. null: no error. */
export function panelMistake({ refused }: PanelState, field: FormNode): string | null {
  return mistakeAt(field) ?? refused[field.field.name] ?? null;
}

export function focusedField({ form }: PanelState): FormNode | null {
  return form.root.children[form.focus] ?? null;
}

/** Whether a character typed now goes into a field. */
export function takesText(state: PanelState): boolean {
  return focusedField(state)?.field.of.kind === "number";
}

/** Takes over the running settings. Fields that the user has changed keep their draft. */
export function withRunning(state: PanelState, settings: Settings, sha256: string): PanelState {
  const next = withSettings(state, settings);
  return isDirty(state) ? next : { ...next, baseSha256: sha256 };
}

function withSettings(state: PanelState, settings: Settings): PanelState {
  const { root } = state.form;
  const changed = state.settings === null ? [] : changedFields(root, state.settings);
  const fresh = formOf(state.section, settings).root;
  const children = fresh.children.map(
    (child) => changed.find(({ field }) => field.name === child.field.name) ?? child,
  );
  const next = { ...state, settings, form: { ...state.form, root: { ...fresh, children } } };
  if (focusedField(next)?.text === focusedField(state)?.text) return next;
  return { ...next, form: focusedRow(next.form, next.form.focus) };
}

export function withFile(state: PanelState, file: BaseFile): PanelState {
  const { baseSha256 } = state;
  // The first read of the file may follow the user's first change. That change can still be saved if the file's
  // content is what the user has seen.
  if (!isDirty(state) || baseSha256 === null || file.sha256 === baseSha256) {
    return { ...state, file, fileChanged: false };
  }
  // The file changed before the panel first read it. The state keeps the hash of the content that the user saw, so
  // the daemon refuses to overwrite content that the user has not seen.
  if (state.file === null) return { ...state, file: { ...file, sha256: baseSha256 }, fileChanged: true };
  return { ...state, fileChanged: file.sha256 !== state.file.sha256 };
}

/**
 * Shows that the daemon has written the edit. `applied`: the reason why the edit is not in effect yet; null if it is
 * in effect.
 */
export function withSaved(
  state: PanelState,
  file: BaseFile,
  lines: readonly string[],
  applied: string | null,
): PanelState {
  const notice: PanelNotice = { kind: "saved", lines, applied };
  const next = {
    ...state,
    file,
    fileChanged: false,
    saving: false,
    refused: {},
    notice,
    baseSha256: file.sha256,
  };
  return applied === null ? withSettings(next, objectOf(sentValue(state.form.root))) : next;
}

export function withMistakes(state: PanelState, mistakes: readonly ConfigMistakeWire[]): PanelState {
  const refused: Record<string, string> = {};
  const elsewhere: ConfigMistakeWire[] = [];
  for (const mistake of mistakes) {
    const field = state.form.root.children.find(({ label }) => mistake.path === `${state.section}.${label}`);
    if (field === undefined) elsewhere.push(mistake);
    else refused[field.label] = `expected ${mistake.expected}`;
  }
  const text = mistakesText(elsewhere);
  const notice: PanelNotice =
    text === null
      ? { kind: "invalid" }
      : { kind: "failed", reason: `nothing saved, the file has errors: ${text}` };
  return { ...state, saving: false, refused, notice };
}

/** Shows that the daemon has written nothing, because the file was not the expected one. */
export function withConflict(state: PanelState): PanelState {
  return { ...state, saving: false, fileChanged: true, notice: null };
}

export function withFailure(state: PanelState, reason: string): PanelState {
  return withNotice(state, { kind: "failed", reason });
}

export function withNotice(state: PanelState, notice: PanelNotice | null): PanelState {
  return { ...state, saving: false, notice };
}
