// Form contents that outlive a change of view. The memory of the page holds them until sign-out or reload.

import { useMemo } from "preact/hooks";
import { createStore, type Store, useStore } from "../daemon/store.ts";

export type FormStores<Form extends object> = ReturnType<typeof createFormStores<Form>>;

export function createFormStores<Form extends object>() {
  const sessions = new WeakMap<object, Map<string, Store<Form>>>();
  return {
    /**
     * The contents of the form `name`; null: it was never drawn. `session`: the page's `requests`, an object
     * that is new with each sign-in.
     */
    find: (session: object, name = ""): Form | null => sessions.get(session)?.get(name)?.get() ?? null,
    /** The store of the form `name`, which the first call creates with the contents that `begin` returns. */
    storeOf(session: object, name: string, begin: () => Form): Store<Form> {
      const forms = sessions.get(session) ?? new Map<string, Store<Form>>();
      const store = forms.get(name) ?? createStore(begin());
      sessions.set(session, forms.set(name, store));
      return store;
    },
  };
}

/**
 * Returns the form's contents at this rendering, and the store of the form. After a handler has awaited a request, it
 * reads the store, because the contents lack text typed since.
 */
export function useFormStore<Form extends object>(
  stores: FormStores<Form>,
  session: object,
  begin: () => Form,
  name = "",
): readonly [Form, Store<Form>] {
  const store = useMemo(() => stores.storeOf(session, name, begin), [session, name]);
  return [useStore(store, (form) => form), store];
}
