// The keys of `[backends.NAME.auth]`: how the gateway signs in to a server by OAuth.
import * as z from "zod";
import { REFERENCE_FORMS } from "../../secrets/reference.ts";
import { parseClientId, parseLabel, parseScope, parseServerUrl, URL_EXPECTED } from "../backend-values.ts";
import {
  choiceKey,
  document,
  listDoc,
  REFERENCE_EXPECTED,
  readReference,
  readText,
  textDoc,
} from "./schema-keys.ts";

const PORT_LAST = 65_535;

function referenceKey(meaning: string, example: string) {
  return document(
    readReference().optional(),
    textDoc({
      type: "reference",
      expected: REFERENCE_EXPECTED,
      isSecret: true,
      absent: "none",
      meaning: `${meaning}, by reference: ${REFERENCE_FORMS}.`,
      example,
    }),
  );
}

function addressKey(doc: { readonly absent: string; readonly meaning: string; readonly example: string }) {
  return document(
    readText(parseServerUrl).optional(),
    textDoc({ type: "address", expected: URL_EXPECTED, ...doc }),
  );
}

export const backendAuthSchema = z.strictObject({
  type: choiceKey(["oauth", "client-credentials"], "oauth", {
    meaning:
      "`oauth`: a person signs in once with `mountaineer backends login NAME`. `client-credentials`: the gateway signs in as itself, with `client_id` and a secret or key.",
  }),
  client_id: document(
    readText(parseClientId).optional(),
    textDoc({
      absent: "the gateway registers itself when a person signs in",
      meaning: "The client id that the authorization server gave you for Mountaineer.",
      example: '"mountaineer-laptop"',
    }),
  ),
  client_secret: referenceKey("The secret that belongs to `client_id`", '"secret:tickets-client"'),
  private_key: referenceKey(
    "With `client-credentials`, in place of a secret: the private key that signs the gateway's requests for tokens (PKCS #8, as PEM or as its base64 on one line)",
    '"secret:tickets-key"',
  ),
  client_metadata_url: addressKey({
    absent: "none",
    meaning:
      "The https address of a client id metadata document that you publish for Mountaineer. It is the client id at authorization servers that support such documents.",
    example: '"https://example.com/mountaineer.json"',
  }),
  client_name: document(
    readText(parseLabel).default("Mountaineer"),
    textDoc({
      absent: '"Mountaineer"',
      meaning: "The name under which the gateway registers itself, and which people see when they agree.",
      example: '"Mountaineer"',
    }),
  ),
  scopes: document(
    z.array(readText(parseScope)).optional(),
    listDoc({
      type: "list of scopes",
      absent: "those that the server asks for",
      meaning: "What is asked for at the sign-in.",
      example: '["tickets:read"]',
    }),
  ),
  issuer: addressKey({
    absent: "the one that the server names",
    meaning:
      "The only authorization server to sign in at. No secret and no code is sent to another one. Type `client-credentials` needs it.",
    example: '"https://login.example.com"',
  }),
  redirect_port: document(
    z.int().min(1).max(PORT_LAST).optional(),
    textDoc({
      type: "whole number",
      expected: `a whole number from 1 to ${PORT_LAST}`,
      absent: "any free port",
      meaning:
        "The port of this machine to which the browser returns, as `http://127.0.0.1:PORT/callback`. For clients that were registered with one.",
      example: "8765",
    }),
  ),
});
