// How an HTTP link authenticates its requests: the contract of a token source, and the credential of one message.
import type { BackendAuthConfig } from "../../../config/snapshot.ts";
import type { TransportFailure } from "./backend-transport.ts";

/** `[backends.NAME.auth]` with the values of its secrets. */
export type ResolvedAuth = Omit<BackendAuthConfig, "clientSecret" | "privateKey"> & {
  readonly clientSecret: string | null;
  readonly privateKey: string | null;
};

/** One user's account at one server, while its instance runs. */
export interface SignInAccount {
  readonly user: string;
  /** The user's entry in the file, by its present token first; see `accountOf`. Empty: it has ended. */
  readonly accounts: () => readonly string[];
}

export interface Credential {
  /** The value of `Authorization`; null: the request carries none. */
  readonly header: string | null;
}

export const NO_CREDENTIAL: Credential = { header: null };

export interface AuthorizationRefusal {
  readonly status: 401 | 403;
  /** The response's `WWW-Authenticate`; null: it has none. */
  readonly challenge: string | null;
  readonly credential: Credential;
}

/** The authorization of one link. Disposing it keeps the stored tokens. */
export interface TransportAuthorization extends Disposable {
  /** The credential that can be sent at once; null: `obtain` has to get one. */
  readonly current: Credential | null;
  /** Waits for a credential, within its own deadline. Never rejects. */
  obtain(): Promise<Credential | TransportFailure>;
  /**
   * Called after the server has refused a request without doing the work. Resolves with another credential for a
   * second attempt, or with the reason why there is none; null if the refusal is not about tokens. Never rejects.
   */
  refused(refusal: AuthorizationRefusal): Promise<Credential | TransportFailure | null>;
  /** Removes tokens from a text. */
  clean(text: string): string;
}

/** For a link whose only credentials are its configured headers. */
export const UNSIGNED: TransportAuthorization = {
  current: NO_CREDENTIAL,
  obtain: () => Promise.resolve(NO_CREDENTIAL),
  refused: () => Promise.resolve(null),
  clean: (text) => text,
  [Symbol.dispose]() {},
};

export function isCredential(outcome: Credential | TransportFailure): outcome is Credential {
  return "header" in outcome;
}

/** The credential of one message: obtained before `send`, and replaced at most once after a refusal. */
export function signing(
  authorization: TransportAuthorization,
  send: (credential: Credential) => void,
  fail: (failure: TransportFailure) => void,
) {
  let credential = NO_CREDENTIAL;
  let isRenewed = false;
  const finish = (outcome: Credential | TransportFailure): void => {
    if (!isCredential(outcome)) fail(outcome);
    else {
      credential = outcome;
      send(outcome);
    }
  };
  return {
    /** Calls `send` at once if the credential is known, otherwise as soon as the credential is obtained. */
    start(): void {
      const { current } = authorization;
      if (current !== null) finish(current);
      else void authorization.obtain().then(finish);
    },
    sendAgain: () => send(credential),
    /** Sends again with another credential, or calls `onFinal` if no other credential can help. */
    refused(status: number, challenge: string | null, onFinal: () => void): void {
      if (status !== 401 && status !== 403) {
        onFinal();
        return;
      }
      void authorization.refused({ status, challenge, credential }).then((outcome) => {
        if (outcome === null || (isCredential(outcome) && isRenewed)) onFinal();
        else {
          isRenewed = true;
          finish(outcome);
        }
      });
    },
  };
}
