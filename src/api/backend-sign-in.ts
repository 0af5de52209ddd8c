// The interface behind `mountaineer backends login` and `logout`, and the page: signs a person in to a backend's server.
import { flag, list, nullable, object, type TypeOf, text } from "../runtime/shape.ts";

interface LoginOrder {
  readonly backend: string;
  readonly way: "browser" | "paste" | "device";
  /** Asked for beside those that the server wants. */
  readonly moreScopes: readonly string[];
}

/** How the person is reached. */
export interface LoginPerson {
  /** Shows an address, and opens it in a browser where that is wanted. */
  visit(address: string): void;
  /** Shows a code that is to be typed at an address; `completeAddress`: with the code in it. */
  showCode(code: string, address: string, completeAddress: string | null): void;
  /** The address that the browser ended at, as it was pasted. */
  paste(signal: AbortSignal): Promise<string>;
}

export const loginReportShape = object({
  backend: text,
  /** The authorization server. */
  issuer: text,
  /** null: none were named. */
  scopes: nullable(list(text)),
  /** ISO 8601 UTC; null: the server does not say. */
  expires_at: nullable(text),
  /** Without it a person has to sign in again when the token expires. */
  renews_itself: flag,
});
export type LoginReport = TypeOf<typeof loginReportShape>;

interface LogoutReport {
  readonly backend: string;
  /** False: nobody was signed in. */
  readonly was_signed_in: boolean;
  /** The server was told, so that the tokens are of no use to anybody. */
  readonly revoked: boolean;
}

/** Rejects with `backend_unknown`, `sign_in_failed`, `secret_unavailable`, `config_…` and the signal's reason. */
export interface BackendSignIn {
  login(order: LoginOrder, person: LoginPerson, signal: AbortSignal): Promise<LoginReport>;
  logout(backend: string, signal: AbortSignal): Promise<LogoutReport>;
}
