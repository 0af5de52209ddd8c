// What was typed into a form outlives a look at another view: kept in the page's memory until its person signs out, or the
// page is closed.

import { useMemo } from "preact/hooks";
import { createStore, type Store, useStore } from "../daemon/store.ts";

/** Forms of one kind. `session`: whose they are, the requests of the page; `name`: where there are several of a kind. */
export interface FormKeeper<Form extends object> {
  /** As it was left; null: it was never drawn. */
  kept(session: object, name?: string): Form | null;
  /** The same one for everybody who asks. `begin`: as it is drawn at first. */
  storeOf(session: object, name: string, begin: () => Form): Store<Form>;
}

export function createFormKeeper<Form extends object>(): FormKeeper<Form> {
  const sessions = new WeakMap<object, Map<string, Store<Form>>>();
  return {
    kept: (session, name = "") => sessions.get(session)?.get(name)?.get() ?? null,
    storeOf(session, name, begin) {
      const forms = sessions.get(session) ?? new Map<string, Store<Form>>();
      const store = forms.get(name) ?? createStore(begin());
      sessions.set(session, forms.set(name, store));
      return store;
    },
  };
}

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
