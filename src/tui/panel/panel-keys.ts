// The settings panel's reaction to keys. Pure: requests to the daemon are returned as actions.
import { firstMistake } from "../../api/forms/form-node.ts";
import { isNamed, type Key } from "../terminal/key.ts";
import { next, type Step, unused } from "../terminal/step.ts";
import { focusedRow, pressFormKey } from "./panel-form.ts";
import { focusedField, formOf, isDirty, type PanelState, takesText } from "./panel-state.ts";

/** "reread": read the report and the file again. */
export type PanelAction = "save" | "reload" | "reread";

export type PanelStep = Step<PanelState, PanelAction>;

const SPACE: Key = { kind: "character", text: " " };

/**
 * Handles a key. `needsReload`: the file's content is not in effect because of an error, or the file is not
 * watched; saving an unchanged panel then applies the file.
 */
export function pressKey(state: PanelState, key: Key, needsReload: boolean): PanelStep {
  const { settings, form } = state;
  if (settings === null || state.saving) return unused(state);
  if (isNamed(key, "save")) return save(state, needsReload);
  if (isNamed(key, "escape")) return revert(state);
  const field = focusedField(state);
  if (field === null) {
    if (isNamed(key, "tab")) return next({ ...state, form: focusedRow(form, 0) });
    return isNamed(key, "backtab") ? next({ ...state, form: focusedRow(form, -1) }) : unused(state);
  }
  if (key.kind === "character" && key.text !== " " && !takesText(state)) return unused(state);
  const step = pressFormKey(form, formKey(key, field.field.of.kind));
  if (step.state.root === form.root)
    return { state: { ...state, form: step.state }, action: null, used: step.used };
  const { [field.field.name]: _, ...refused } = state.refused;
  return next({ ...state, form: step.state, refused, notice: null });
}

/** In the panel, Enter also switches a checkbox, and all four arrow keys change a choice. */
function formKey(key: Key, kind: string): Key {
  if (kind === "flag" && isNamed(key, "enter")) return SPACE;
  if (kind === "choice" && isNamed(key, "down")) return { kind: "named", name: "right" };
  return kind === "choice" && isNamed(key, "up") ? { kind: "named", name: "left" } : key;
}

function save(state: PanelState, needsReload: boolean): PanelStep {
  if (firstMistake(state.form.root) !== null) return next({ ...state, notice: { kind: "invalid" } });
  const action = isDirty(state) ? "save" : needsReload ? "reload" : null;
  if (action === null) return next({ ...state, notice: { kind: "nothing" } });
  return next({ ...state, saving: true, notice: null }, action);
}

function revert(state: PanelState): PanelStep {
  const { focus } = state.form;
  const wasDirty = isDirty(state);
  const fresh = formOf(state.section, state.settings);
  return {
    state: {
      ...state,
      form: wasDirty && focus !== -1 ? focusedRow(fresh, focus) : fresh,
      fileChanged: false,
      // null: the next read of the file becomes the base of further changes, even if the user types before
      // that read.
      file: null,
      baseSha256: null,
      refused: {},
      notice: null,
    },
    action: "reread",
    used: wasDirty || focus !== -1 || state.notice !== null,
  };
}
