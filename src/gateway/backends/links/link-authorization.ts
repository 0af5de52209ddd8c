// The contract of what signs an HTTP link's requests: a token that is got, kept and renewed elsewhere.
import type { BackendAuthConfig } from "../../../config/snapshot.ts";
import type { LinkFailure } from "./backend-link.ts";

/** `[backends.NAME.auth]` with the values of its secrets. */
export type ResolvedAuth = Omit<BackendAuthConfig, "clientSecret" | "privateKey"> & {
  readonly clientSecret: string | null;
  readonly privateKey: string | null;
};

/** What a request carries. */
export interface Credential {
  /** The value of `Authorization`; null: the request goes out without one. */
  readonly header: string | null;
}

/** The request goes out without a token. */
export const NO_CREDENTIAL: Credential = { header: null };

/** A response 401 or 403. */
export interface AuthorizationRefusal {
  readonly status: 401 | 403;
  /** Its `WWW-Authenticate`; null: it had none. */
  readonly challenge: string | null;
  /** What the refused request carried. */
  readonly carried: Credential;
}

/** Of one link. Disposing it ends its interest; what is kept stays. */
export interface LinkAuthorization extends Disposable {
  /** What a request carries now; null: that is not known without waiting, or there is nothing valid. */
  readonly current: Credential | null;
  /** Waits for what `current` lacks, within a deadline of its own. Never rejects. */
  obtain(): Promise<Credential | LinkFailure>;
  /**
   * What to do after a refusal, in which the server did not do the work: another credential to send the request with
   * once more, or why there is none. Null: the refusal is not about tokens. Never rejects.
   */
  refused(refusal: AuthorizationRefusal): Promise<Credential | LinkFailure | null>;
  /** Takes tokens out of a text. */
  clean(text: string): string;
}

/** A standing problem of signing in, for the backend's conditions. */
export interface SignInNotice {
  readonly code: "login_needed" | "scopes_needed" | "token_not_renewed";
  readonly title: string;
  readonly hint: string;
}

export function isCredential(outcome: Credential | LinkFailure): outcome is Credential {
  return "header" in outcome;
}
