// Sign-ins to backends' servers from the page: returns the address to open, and follows the sign-in to its end.

import type { Rights } from "../../api/operations/operation.ts";
import type { Control } from "../../api/operations/operations.ts";
import type { BackendSignIn, LoginReport } from "../../api/setup/backend-sign-in.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { MountaineerError } from "../../runtime/errors.ts";

interface LoginParts {
  readonly signIn: Pick<BackendSignIn, "login">;
  readonly restart: Control["restart"];
}

/** Disposal aborts sign-ins under way. */
export function createLoginControl({ signIn, restart }: LoginParts) {
  const logins = new Map<string, { readonly stop: AbortController; readonly ended: Promise<LoginReport> }>();

  const begin = (backend: string, rights: Rights): Promise<string> => {
    logins.get(backend)?.stop.abort(failed("another sign-in was begun"));
    const stop = new AbortController();
    const shown = Promise.withResolvers<string>();
    const person = {
      visit: shown.resolve,
      paste: () => Promise.reject(failed("an address cannot be pasted here")),
    };
    const follow = async (): Promise<LoginReport> => {
      const order = { backend, user: null, method: "browser", moreScopes: [] } as const;
      const report = await signIn.login(order, person, stop.signal);
      await restart({ backends: [backend] }, stop.signal, rights);
      return report;
    };
    const ended = follow();
    ended.catch(shown.reject);
    logins.set(backend, { stop, ended });
    return shown.promise;
  };

  const control = {
    beginLogin: async ({ backend }, signal, rights) => ({
      address: await unlessAborted(begin(backend, rights), signal),
    }),
    async awaitLogin({ backend }, signal) {
      const login = logins.get(backend);
      if (login === undefined) throw failed(`no sign-in to ${backend} was begun`);
      return unlessAborted(login.ended, signal);
    },
  } satisfies Partial<Control>;

  return {
    control,
    [Symbol.dispose]() {
      for (const { stop } of logins.values()) stop.abort(failed("the daemon ends"));
    },
  };
}

function failed(why: string): MountaineerError {
  return new MountaineerError("sign_in_failed", why);
}
