//! Requests about the deny list.

use perennial_control::{Denied, DeniedRow, Deny, Failure, Listed, Sink, Undeny};

use super::{ControlService, failure};

pub(super) async fn deny(service: &ControlService, request: Deny) -> Result<DeniedRow, Failure> {
    let Deny { target, reason } = request;
    let reason = reason.filter(|reason| !reason.is_empty());
    let given = reason.clone().unwrap_or_default();
    service.archive.deny(target.clone(), given).await.map_err(failure)?;
    Ok(DeniedRow::new(target, reason))
}

pub(super) async fn undeny(
    service: &ControlService,
    request: Undeny,
) -> Result<DeniedRow, Failure> {
    let reason = service.archive.undeny(request.target.clone()).await.map_err(failure)?;
    Ok(DeniedRow::new(request.target, Some(reason).filter(|reason| !reason.is_empty())))
}

pub(super) async fn denied(
    service: &ControlService,
    _: Denied,
    sink: &Sink<DeniedRow>,
) -> Result<Listed, Failure> {
    let mut listed = Listed::default();
    for (target, reason) in service.read(|store| Ok(store.denied())).await? {
        let reason = Some(reason).filter(|reason| !reason.is_empty());
        if !sink.item(DeniedRow::new(target, reason)).await {
            break;
        }
        listed.rows += 1;
    }
    Ok(listed)
}
