// The rows of the table of operations by which a person sets up shares, backends, secrets and ways in.
import {
  flag,
  list,
  matching,
  nullable,
  object,
  optional,
  strictObject,
  text,
  wellFormedText,
} from "../../runtime/shape.ts";
import { SECRET_NAME } from "../../runtime/text/name-forms.ts";
import { registryListShape, registryServerRequest, registryServerShape } from "../contract/registry.ts";
import { loginReportShape } from "../setup/backend-sign-in.ts";
import { pairRequest, pairVerdictShape, shareNamesRequest, shareNamesShape } from "../setup/first-contact.ts";
import { foundServerShape } from "../setup/found-server.ts";
import { secretChangeShape, secretListShape } from "../setup/home-secrets.ts";
import { BODY_LIMIT_BYTES, operation } from "./operation.ts";

const oneBackend = strictObject({ backend: wellFormedText });
const secretName = matching(SECRET_NAME.form, SECRET_NAME.expected);

export const SETUP_OPERATIONS = {
  /** Takes two seconds. */
  discover: operation("POST shares/discover", {
    summary: "SMB servers that this machine hears or knows; scans nothing",
    right: "with_commands",
    output: object({ servers: list(foundServerShape) }),
    counts: "places",
  }),
  shareNames: operation("POST shares/names", {
    summary: "The shares of a server, asked with a login, never as a guest",
    right: "with_commands",
    input: shareNamesRequest,
    output: shareNamesShape,
    counts: "places",
  }),
  shareNetworks: operation("POST shares/networks", {
    summary: "The networks that these servers are on now, as values for `only_on`",
    right: "with_commands",
    input: strictObject({ hosts: list(text) }),
    /** null: the networks cannot be found out. */
    output: object({ networks: nullable(list(text)) }),
    counts: "places",
  }),
  pairServers: operation("POST shares/pair", {
    summary: "Check whether another address leads to the same server",
    right: "with_commands",
    input: pairRequest,
    output: pairVerdictShape,
    counts: "places",
  }),
  /** Rejects with `registry_failed`. */
  searchRegistry: operation("POST registry/search", {
    summary: "Search the registry for MCP servers by a part of their names",
    right: "with_commands",
    input: strictObject({ query: text }),
    output: registryListShape,
    counts: "records",
  }),
  /** Rejects with `registry_failed`. */
  registryServer: operation("POST registry/server", {
    summary: "A registry server's inputs, and the backend that it would become",
    right: "with_commands",
    input: registryServerRequest,
    output: registryServerShape,
    counts: "records",
  }),
  mcpAddress: operation("POST backends/address", {
    summary: "Find the path of an MCP server's address; sends neither headers nor credentials",
    right: "with_commands",
    input: strictObject({ url: text }),
    /** null: the address has a path already, or nothing answers. */
    output: object({ url: nullable(text) }),
    counts: "places",
  }),
  /** Begins a sign-in, and ends an earlier one to this backend. Rejects as `awaitLogin` does. */
  beginLogin: operation("POST backends/login", {
    summary:
      "Begin a sign-in to a backend's server; returns the address to open in a browser on this machine",
    right: "with_commands",
    input: oneBackend,
    /** The page where the person signs in. */
    output: object({ address: text }),
    counts: "places",
  }),
  /**
   * Waits up to ten minutes for the sign-in, then restarts the backend. Rejects with `sign_in_failed` and
   * `secret_unavailable`.
   */
  awaitLogin: operation("POST backends/login/end", {
    summary: "Wait until the person has signed in to the backend's server",
    right: "with_commands",
    input: oneBackend,
    output: loginReportShape,
    counts: "calls",
  }),
  secrets: operation("GET secrets", {
    summary: "Names of the secrets that are stored or referred to; reads no value",
    output: secretListShape,
    counts: "config",
  }),
  /** Backends and shares that use the secret get the new value at once. */
  setSecret: operation("POST secrets/set", {
    summary: "Store a secret, replacing one of the same name",
    right: "with_commands",
    input: strictObject({
      name: secretName,
      value: matching(/^[^\r\n\0]{1,65536}$/, "a text of one line"),
    }),
    output: secretChangeShape,
    counts: "config",
    bodyLimitBytes: 2 * BODY_LIMIT_BYTES,
  }),
  removeSecret: operation("POST secrets/remove", {
    summary: "Delete a secret",
    right: "with_commands",
    input: strictObject({ name: secretName }),
    output: secretChangeShape,
    counts: "config",
  }),
  /**
   * The link works once, within a minute. Without a gateway, this opens a listener for the page. Rejects with `gateway_off`
   * if `[server.management].enabled` is not true. `from_terminal`: a person asks; while the home has nothing yet, the tab
   * that opens the link may then change what runs.
   */
  openPage: operation("POST access/link", {
    summary: "A link that signs one browser in",
    right: "socket",
    input: strictObject({ from_terminal: optional(flag) }),
    output: object({
      /** `http://127.0.0.1:9000/#CODE`: a browser never sends the part behind `#`. */
      url: text,
      expires_at: text,
    }),
  }),
  /** Lets the tab of the page that shows this code change what runs. Rejects with `permission_denied`. */
  grantOwner: operation("POST access/owner", {
    summary: "Let one tab of the page change which programs run",
    right: "socket",
    /** The code as the person types it. */
    input: strictObject({ code: text }),
    /** When the tab's right ends. */
    output: object({ until: text }),
  }),
  /** A code for a terminal to show: a tab in which it is typed may change what runs. Only the last one is valid. */
  offerOwner: operation("POST access/owner/offer", {
    summary: "A code with which a tab of the page may change which programs run",
    right: "socket",
    output: object({ code: text, expires_at: text }),
  }),
  /** Makes a token, and revokes the previous one. Rejects with `home_unwritable`, as `forgetToken` does. */
  makeToken: operation("POST access/token", {
    summary: "A new token for the management API",
    right: "socket",
    output: object({
      /** The token is shown only here, because the daemon keeps only a hash of it. */
      token: text,
      /** True if there was a token before, which is no longer valid. */
      replaced: flag,
    }),
  }),
  forgetToken: operation("POST access/token/forget", {
    summary: "Revoke the management API's token",
    right: "socket",
    /** False: there was no token. */
    output: object({ forgotten: flag }),
  }),
};
