// The page's entry point: removes a link's code from the address, and draws the page.
import { h, render } from "preact";
import { takeLinkCode } from "./shell/link-code.ts";
import { PageApp } from "./shell/page-app.ts";

// Runs first, so that neither other code nor the history can read the one-time code.
const link = takeLinkCode(window);
const root = document.getElementById("page");
if (root !== null) render(h(PageApp, { link }), root);
