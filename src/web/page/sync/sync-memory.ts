// What was changed in the settings form and not saved outlives a look at another view.
import type { SyncSettingsWire } from "../../../api/contract.ts";
import { changedFields, type SyncDraft } from "../../../api/forms/sync-fields.ts";
import { createFormKeeper } from "../parts/kept-form.ts";

/** What a form was drawn from: a save is meant for exactly this content. */
export interface SyncBase {
  readonly settings: SyncSettingsWire;
  /** Of the file, which may be ahead of what runs. Null: it was not read yet. */
  readonly sha256: string | null;
}

/** What a form was drawn from, and what became of it. */
export interface SyncForm {
  readonly base: SyncBase;
  readonly draft: SyncDraft;
}

export const SYNC_FORMS = createFormKeeper<SyncForm>();

/** Null: nothing is to be saved. */
export function unsavedSync(session: object): SyncForm | null {
  const form = SYNC_FORMS.kept(session);
  return form !== null && changedFields(form.draft, form.base.settings).length > 0 ? form : null;
}
