// The keys of `[backends.NAME.auth]`: how the gateway signs in to a server by OAuth.
import { parseClientId } from "../values/backend-values.ts";
import { parseScope } from "../values/sign-in-values.ts";
import { choiceKey, defaulted, optional } from "./schema-keys.ts";
import { label, list, number, orNone, reference, text, url } from "./value-types.ts";

export const backendAuthKeys = {
  type: choiceKey("sends", ["oauth", "client-credentials"], "oauth", {
    meaning:
      "`oauth`: a person signs in (`mountaineer backends login NAME`). `client-credentials`: the gateway does, as itself.",
  }),
  client_id: optional("sends", text("plain", parseClientId), {
    absent: "the gateway registers itself at the first sign-in",
    meaning: "The client id that the authorization server issued to you for Mountaineer.",
    example: '"mountaineer-laptop"',
  }),
  client_secret: optional("sends", reference, {
    absent: "none",
    meaning: "The secret that belongs to `client_id`.",
    example: '"secret:tickets-client"',
  }),
  private_key: optional("sends", reference, {
    absent: "none",
    meaning: "With `client-credentials`: the private key (PKCS #8, PEM or base64) in place of a secret.",
    example: '"secret:tickets-key"',
  }),
  client_metadata_url: optional("sends", url, {
    absent: "none",
    meaning: "The https address of your client id metadata document.",
    example: '"https://example.com/mountaineer.json"',
  }),
  client_name: defaulted("sends", label, "Mountaineer", {
    absent: '"Mountaineer"',
    meaning: "The name under which the gateway registers, shown on the consent page.",
    example: '"Mountaineer"',
  }),
  scopes: optional("sends", list(text("plain", parseScope)), {
    type: "list of scopes",
    absent: "the scopes that the server asks for",
    meaning: "The scopes to ask for at the sign-in.",
    example: '["tickets:read"]',
  }),
  issuer: optional("sends", url, {
    absent: "the authorization server that the server names",
    meaning: "The only authorization server to sign in at. Required for `client-credentials`.",
    example: '"https://login.example.com"',
  }),
  resource: optional("sends", orNone(url), {
    absent: "the one that the server names, else its address",
    meaning: "What the token is for (RFC 8707). `false` leaves it out, for Entra and others.",
    example: "false",
  }),
  redirect_host: choiceKey("sends", ["127.0.0.1", "localhost"], "127.0.0.1", {
    meaning: "The host to which the browser returns, for clients registered with `http://localhost`.",
  }),
  redirect_port: optional("sends", number(1, 65_535, true, null), {
    absent: "any free port",
    meaning: "The port to which the browser returns, for clients registered with one.",
    example: "8765",
  }),
};
