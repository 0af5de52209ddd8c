// What was changed in the settings form and not saved outlives a look at another view.
import { createFormKeeper } from "../parts/kept-form.ts";
import { draftEdits, type SyncBase, type SyncDraft } from "./sync-draft.ts";

/** What a form was drawn from, and what became of it. */
export interface SyncForm {
  readonly base: SyncBase;
  readonly draft: SyncDraft;
}

export const SYNC_FORMS = createFormKeeper<SyncForm>();

/** Null: nothing is to be saved. */
export function unsavedSync(session: object): SyncForm | null {
  const form = SYNC_FORMS.kept(session);
  return form !== null && draftEdits(form.draft, form.base).length > 0 ? form : null;
}
