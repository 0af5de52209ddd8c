// A form of a view, as it was left.
import { useMemo } from "preact/hooks";
import type { Store } from "../daemon/store.ts";
import { useStore } from "../daemon/use-store.ts";
import type { FormKeeper } from "./kept-form.ts";

/** The form as it is drawn, and its store: what it is by then, also while a request is under way. */
export function useKeptForm<Form extends object>(
  keeper: FormKeeper<Form>,
  session: object,
  begin: () => Form,
  name = "",
): readonly [Form, Store<Form>] {
  const store = useMemo(() => keeper.storeOf(session, name, begin), [session, name]);
  return [useStore(store, (form) => form), store];
}
