/** Asks the reader for the token. */

import { say } from "./element.js";

/** What may be a token (RFC 6750, section 2.1); anything else could not even be sent. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;

/** Return what asks, with this dialog, until it is told a token. @param {HTMLDialogElement} dialog */
export function prompter(dialog) {
  const form = dialog.querySelector("form");
  const field = dialog.querySelector("input");
  const why = dialog.querySelector(".why");
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  return (message) =>
    new Promise((resolve) => {
      say(why, `The API says: ${message}.`);
      field.value = "";
      dialog.showModal();
      form.onsubmit = (event) => {
        event.preventDefault();
        const token = field.value.trim();
        if (!TOKEN.test(token)) return say(why, "That cannot be a token: it has letters, digits and - . _ ~ + / only.");
        dialog.close();
        field.value = "";
        return resolve(token);
      };
    });
}
