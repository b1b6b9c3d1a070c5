/* パスキー: the browser asks the device, the form carries its answer. */
document.querySelectorAll("[data-passkey]").forEach((button) => {
  if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) return;
  button.hidden = false;
  if (button.autofocus) button.focus();
  button.addEventListener("click", async () => {
    const { form, dataset: { passkey, isNew } } = button, problem = form.querySelector("[data-passkey-problem]");
    problem.hidden = true;
    try {
      const options = JSON.parse(passkey);
      const answer = isNew
        ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
        : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
      form.elements.passkey.value = JSON.stringify(answer);
      form.submit();
    } catch {
      problem.hidden = false;
    }
  });
});
