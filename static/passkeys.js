/* パスキー: the browser asks the device, the form carries its answer. */
document.querySelectorAll("[data-passkey]").forEach((button) => {
  if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) return;
  button.hidden = false;
  if (button.autofocus) button.focus();
  button.addEventListener("click", async () => {
    const { form, dataset: { passkey, isNew } } = button, again = button.closest("[data-again]");
    const problem = (again ?? form).querySelector("[data-passkey-problem]");
    problem.hidden = true;
    try {
      const options = JSON.parse(passkey);
      const answer = isNew
        ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
        : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
      if (again) {
        // In place of the password: the form goes as by its own button, with what that says.
        again.querySelector("[name=again_passkey]").value = JSON.stringify(answer);
        form.elements.current_password.required = false;
        form.requestSubmit((button.closest("dialog") ?? form).querySelector("button:not([type=button])"));
      } else {
        form.elements.passkey.value = JSON.stringify(answer);
        form.submit();
      }
    } catch {
      problem.hidden = false;
    }
  });
});
