// Interface for signing a person in to a backend's server, and out again; used by `mountaineer backends
// login` and `logout`, and by the page.
import { flag, list, nullable, object, type TypeOf, text } from "../../runtime/shape.ts";

interface LoginOrder {
  readonly backend: string;
  /** The user whose account it becomes; null: the owner. */
  readonly user: string | null;
  readonly method: "browser" | "paste";
  /** OAuth scopes requested in addition to the server's. */
  readonly moreScopes: readonly string[];
}

export interface LoginPerson {
  /** Shows an address, and opens it in a browser if configured. */
  visit(address: string): void;
  /**
   * Resolves with the address at which the browser's sign-in ended, as the person has copied it from the
   * browser.
   */
  paste(signal: AbortSignal): Promise<string>;
}

export const loginReportShape = object({
  backend: text,
  /** The authorization server. */
  issuer: text,
  /** The OAuth scopes that the server named; null: it named none. */
  scopes: nullable(list(text)),
  /** ISO 8601 UTC; null if the server does not say. */
  expires_at: nullable(text),
  /** False: the person has to sign in again when the token expires. */
  renews_itself: flag,
});
export type LoginReport = TypeOf<typeof loginReportShape>;

interface LogoutReport {
  readonly backend: string;
  /** False: there was no sign-in. */
  readonly was_signed_in: boolean;
  /** True: the server has revoked the tokens. */
  readonly revoked: boolean;
}

/**
 * Signs in and out. Rejects with `backend_unknown`, `sign_in_failed`, `secret_unavailable`, `config_…` and
 * the signal's reason.
 */
export interface BackendSignIn {
  login(order: LoginOrder, person: LoginPerson, signal: AbortSignal): Promise<LoginReport>;
  /** `user`: see `LoginOrder`. */
  logout(backend: string, user: string | null, signal: AbortSignal): Promise<LogoutReport>;
  /** Signs the user out of all servers, also of those that are no longer configured. */
  forgetUser(user: string, signal: AbortSignal): Promise<void>;
  /**
   * To be called before an edit, while the client's secrets can be read. The function signs all users out of the servers that
   * have no accounts of users any longer; null: no server has some.
   */
  accountsBefore(signal: AbortSignal): Promise<(() => Promise<void>) | null>;
}
