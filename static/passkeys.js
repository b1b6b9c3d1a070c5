/* パスキー: the device is asked, the form carries its answer. */
const keys = window.PublicKeyCredential;
for (const button of keys?.parseRequestOptionsFromJSON ? document.querySelectorAll("[data-passkey]") : []) {
  button.hidden = button.form.hidden = false;
  if (button.autofocus) button.focus();
  button.onclick = async () => {
    const { form, dataset: { passkey, isNew } } = button, again = button.closest("[data-again]");
    const field = (name) => (again ?? form).querySelector(name), problem = field("[data-passkey-problem]");
    problem.hidden = true;
    try {
      const options = JSON.parse(passkey), { credentials } = navigator;
      field("[name$=passkey]").value = JSON.stringify(isNew
        ? await credentials.create({ publicKey: keys.parseCreationOptionsFromJSON(options) })
        : await credentials.get({ publicKey: keys.parseRequestOptionsFromJSON(options) }));
      if (!again) return form.submit();
      form.elements.current_password.required = false; // it goes as by its own button
      form.requestSubmit((button.closest("dialog") ?? form).querySelector("button:not([type=button])"));
    } catch {
      problem.hidden = false;
    }
  };
}
